#!/bin/sh
# A Debian root in a container. Arguments: MODE ROOT FOLDER [COMMAND…]. ROOT stays as it is;
# all changes go to FOLDER/upper by an overlay on FOLDER/mount.
#   boot    systemd as process 1; ends, with everything in it, when standard input closes
#   chroot  one command, nothing else runs
# Run it in a mount namespace of its own (unshare --mount).
set -eu
mode=$1 root=$2 folder=$3
shift 3

mkdir -p "$folder/upper" "$folder/work" "$folder/mount"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" "$folder/mount"

if [ "$mode" = chroot ]; then
    mount -t proc proc "$folder/mount/proc"
    exec chroot "$folder/mount" "$@"
fi

# Nothing happens in it by the clock: at midnight dpkg's timer makes files in /var/backups.
units="$folder/upper/etc/systemd/system"
mkdir -p "$units"
for timer in "$root"/usr/lib/systemd/system/*.timer; do
    ln -sf /dev/null "$units/${timer##*/}"
done

# nspawn wants to see a running systemd; this machine need not have one.
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1

# Control groups of its own, or two containers at once would manage the same ones.
name=fleetpack-$$
groups=$(
    findmnt --noheadings --first-only --types cgroup2 --output TARGET
    findmnt --noheadings --first-only --types cgroup --options name=systemd --output TARGET || :
)
for group in $groups; do
    mkdir "$group/$name"
done
(
    for group in $groups; do
        sh -c 'echo $PPID' > "$group/$name/cgroup.procs"
    done
    exec systemd-nspawn --quiet --boot --register=no --keep-unit --directory="$folder/mount" \
        --machine="$name" --link-journal=no --private-network --console=pipe < /dev/null
) &

cat > /dev/null

for group in $groups; do
    [ ! -e "$group/$name/cgroup.kill" ] || echo 1 > "$group/$name/cgroup.kill"
done
wait || :
for group in $groups; do
    # What was killed takes a moment to go.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$group/$name" -depth -type d -exec rmdir {} + 2> /dev/null && break
        sleep 0.1
    done
done
