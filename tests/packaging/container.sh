#!/bin/bash
# Builds packaging/container/Containerfile with buildah and looks at the image. Arguments: a
# Debian root, the project, the program. Runs in a scratch folder and a mount namespace of its own.
root=$1 project=$2 program=$3
here=$PWD
export HOME=$here/.home XDG_RUNTIME_DIR=$here/.run
mkdir -p "$XDG_RUNTIME_DIR" bin
buildah() {
    command buildah --root "$here/.images" --runroot "$here/.containers" "$@"
}

# What takes the place of the network, and of half an hour of compiling.
cat > bin/apt-get << 'END'
#!/bin/sh
echo "apt-get $*"
END
cat > bin/cargo << 'END'
#!/bin/sh
set -eu
[ "$*" = "build --release --locked --bin fleetpack" ]
[ -f Cargo.toml ] && [ -f Cargo.lock ] && [ -f src/main.rs ] && [ ! -e target ] && [ ! -e .git ]
mkdir -p target/release
cp /usr/local/bin/built target/release/fleetpack
END
chmod 755 bin/*

base=$(buildah from scratch)
mounted=$(buildah mount "$base")
libraries=usr/lib/x86_64-linux-gnu
mkdir -p "$mounted/$libraries"
for folder in bin sbin lib lib64 etc usr/bin usr/sbin usr/lib64; do
    cp -a "$root/$folder" "$mounted/$folder"
done
cp -a "$root/$libraries"/*.so* "$mounted/$libraries/"
mkdir -p "$mounted/tmp" "$mounted/proc" "$mounted/var/lib/apt/lists" "$mounted/usr/local/bin"
cp bin/apt-get "$mounted/usr/local/bin/"
buildah commit --quiet "$base" docker.io/library/debian:bookworm-slim > /dev/null
cp bin/cargo "$mounted/usr/local/bin/"
strip -o "$mounted/usr/local/bin/built" "$program"
buildah commit --quiet "$base" docker.io/library/rust:1.95-slim-bookworm > /dev/null

buildah bud --pull-never --isolation chroot --layers=false --tag recipe \
    --file "$project/packaging/container/Containerfile" "$project" > build.log 2>&1 ||
    { cat build.log >&2; exit 1; }
echo "packages: $(grep '^apt-get install' build.log | tr '\n' ' ')"

echo "about: $(buildah inspect --type image recipe | tr -d '\n')"

made=$(buildah from --pull-never recipe)
run() {
    buildah run --isolation chroot \
        --env FLEET_ROOT_PASSPHRASE=one --env FLEET_TARGETS_PASSPHRASE=two \
        --env FLEET_SNAPSHOT_PASSPHRASE=three --env FLEET_TIMESTAMP_PASSPHRASE=four \
        "$made" -- "$@"
}
echo "version: $(run /usr/bin/fleetpack --version)"
# It may write where it works and where keys are mounted.
run sh -ec 'fleetpack updates init --path repo >&2; cp repo/keys/*.json /keys/
    echo "keys belong to: $(stat -c "%U %a" /keys)"'
buildah rm --all > /dev/null
