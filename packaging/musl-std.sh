#!/bin/sh
# musl-std.sh FOLDER: a Rust compiler with the standard library for musl on x86_64 and aarch64, in
# FOLDER, for machines that `rustup target add` has no servers for. The compiler is the newest of
# Debian 12 (rustc-web), unpacked and not installed; the library is compiled from the source that
# belongs to it (rust-web-src), by the cargo in the search path. Wants `apt-get update` before it.
# packaging/release.sh takes FOLDER as FLEETPACK_RUST.
set -eu
[ $# = 1 ] || { echo "usage: musl-std.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
wanted="rustc-web rust-web-src libstd-rust-web-dev"

# What the compiler is, and what it lacks on this machine.
packages() {
    # shellcheck disable=SC2086 # one word per package
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances $wanted |
        grep -E '^(rustc-web|rust-web-src|libstd-rust-web|libllvm)'
    # shellcheck disable=SC2086
    apt-get -s install --no-install-recommends $wanted 2>/dev/null | awk '$1 == "Inst" { print $2 }'
}

unpack() {
    rm -rf "${folder:?}/usr" "${folder:?}/packages"
    mkdir "$folder/packages"
    # shellcheck disable=SC2046
    (cd "$folder/packages" && apt-get -q download $(packages | sort -u))
    for package in "$folder/packages"/*.deb; do
        dpkg-deb -x "$package" "$folder"
    done
    rm -r "$folder/packages"
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
        "'$folder/usr/lib/x86_64-linux-gnu'" "'$folder/usr/bin/rustc'" >"$folder/bin/rustc"
    chmod 755 "$folder/bin/rustc"
}

# As Rust's own build marks it: what std depends on is not offered to programs.
std() {
    rm -rf "$folder/library" "$folder/std"
    cp -r "$folder/usr/lib/rustlib/src/rust/library" "$folder/library"
    (
        cd "$folder/library/sysroot"
        export RUSTC_BOOTSTRAP=1 RUSTC="$folder/bin/rustc" CARGO_TARGET_DIR="$folder/std"
        export RUSTFLAGS="-Zforce-unstable-if-unmarked -Cembed-bitcode=yes --remap-path-prefix=$folder/library=/rust/library"
        cargo build --release --locked --features backtrace \
            --target x86_64-unknown-linux-musl --target aarch64-unknown-linux-musl
    )
    for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
        installed=$folder/usr/lib/rustlib/$target/lib
        mkdir -p "$installed"
        cp "$folder/std/$target/release/deps"/*.rlib "$installed/"
        rm "$installed"/libsysroot*
    done
    rm -r "$folder/library" "$folder/std"
}

stamp=$folder/version
now=$(apt-cache show rustc-web | sed -n 's/^Version: //p' | head -n 1)
[ "$(cat "$stamp" 2>/dev/null)" != "$now" ] || exit 0
unpack
std
echo "$now" >"$stamp"
"$folder/bin/rustc" --version
