#!/bin/sh
# prove-static.sh PROGRAM [RUNNER]: PROGRAM asks for no shared library, and does its whole job in a
# folder that holds nothing else: a quickstart as a root of its own, with three devices, no network
# and no shell. RUNNER, itself static, is what runs programs of PROGRAM's processor (qemu-user-static).
set -eu
program=$1 runner=${2:-}
if readelf --program-headers "$program" | grep -q INTERP; then
    echo "$program asks for a dynamic loader" >&2
    exit 1
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/dev" "$root/tmp"
cp "$program" "$root/fleetpack"
[ -z "$runner" ] || cp "$runner" "$root/runner"
for device in null random urandom; do
    : > "$root/dev/$device"
done
# shellcheck disable=SC2016
unshare --map-root-user --user --mount --net sh -eu -c '
    for device in null random urandom; do mount --bind "/dev/$device" "$1/dev/$device"; done
    [ ! -e "$1/runner" ] || set -- "$1" /runner
    export TMPDIR=/tmp
    exec chroot "$1" ${2:+"$2"} /fleetpack quickstart --dir /quickstart --quiet
' sh "$root"
ls "$root/quickstart/installers"
