#!/bin/sh
# release.sh FOLDER [STEP…]: what a release consists of, into FOLDER. Steps, all when none is named:
#
#   x86_64, aarch64  the static program for this processor (musl): shown to be static and to do its
#                    whole job, as a tar archive, deb, rpm and pkg.tar.zst
#   glibc            the program with keys on tokens and signing for macOS, for this machine's
#                    processor and for its glibc or a newer one
#   finish           SHA256SUMS, bill of materials, statement and Homebrew formula of what lies in
#                    FOLDER
#
# Wants Rust, a C compiler, python3 with venv; for another processor than this machine's
# qemu-user-static. Takes its linker for musl, zig, from PyPI in the versions of ci/versions, unless
# cargo-zigbuild is in the search path.
# SOURCE_DATE_EPOCH is the last commit's time when it is not set. FLEETPACK_ADDRESS is the place
# that the release's files will be fetched from. FLEETPACK_RUST is a folder of packaging/musl-std.sh,
# whose compiler takes the place of rustup's.
set -eu
[ $# -ge 1 ] || { echo "usage: release.sh FOLDER [x86_64|aarch64|glibc|finish]..." >&2; exit 2; }
mkdir -p "$1"
dist=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- x86_64 aarch64 glibc finish
cd "$(dirname "$0")/.."
# shellcheck source=ci/versions
. ci/versions
tools=${FLEETPACK_TOOLS:-$HOME/.cache/fleetpack-tools}
built=${CARGO_TARGET_DIR:-target}
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH CARGO_TERM_COLOR=never

# zig compiles C and links for any processor; cargo-zigbuild tells cargo. One in the search path
# is taken as it is.
zig() {
    ! command -v cargo-zigbuild >/dev/null || return 0
    wanted="ziglang==$ZIGLANG cargo-zigbuild==$CARGO_ZIGBUILD"
    if [ "$(cat "$tools/zig/versions" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$tools/zig"
        python3 -m venv "$tools/zig"
        # shellcheck disable=SC2086 # one word per package
        "$tools/zig/bin/pip" install --quiet --disable-pip-version-check $wanted
        echo "$wanted" >"$tools/zig/versions"
    fi
    PATH=$tools/zig/bin:$PATH
}

# example NAME ARGUMENTS…: one of our own programs beside fleetpack, for this machine.
example() {
    cargo run --quiet --release --locked --example "$@"
}

# archive PROGRAM NAME: the program with its documents; the same bytes for the same program.
archive() {
    scratch=$(mktemp -d)
    cp "$1" "$scratch/fleetpack"
    # Links between documents lead on: they lie beside the program as in the project.
    tar -cf - -T packaging/own/documents | tar -C "$scratch" -xf -
    chmod 755 "$scratch/fleetpack"
    (cd "$scratch" && tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
        --numeric-owner --mode=u=rwX,go=rX -cf - -- *) |
        gzip -n -9 >"$dist/$2.tar.gz"
    rm -r "$scratch"
}

# bill TARGET FEATURES ARCHIVE: which crates went into the program of this target.
bill() {
    cargo tree --locked --edges normal,build --target "$1" ${2:+--features "$2"} \
        --prefix none --format '{p}|{l}' |
        example own_provenance -- bill "$dist/$3" >"$dist/$3.cdx.json"
}

static() {
    processor=$1 arch=$2 target=$1-unknown-linux-musl where=$built
    if [ -n "${FLEETPACK_RUST:-}" ]; then
        mkdir -p "$FLEETPACK_RUST/target"
        where=$(cd "$FLEETPACK_RUST/target" && pwd -P)
    fi
    (
        zig
        # zig brings musl and its start files; the compiler's own copies stay out.
        RUSTFLAGS=-Clink-self-contained=no
        CARGO_TARGET_DIR=$where
        export PATH RUSTFLAGS CARGO_TARGET_DIR
        if [ -n "${FLEETPACK_RUST:-}" ]; then
            RUSTC=$FLEETPACK_RUST/bin/rustc
            export RUSTC
        else
            rustup target add "$target"
        fi
        # For zig the last of these words counts: static, and at any address.
        cargo-zigbuild rustc --release --locked --bin fleetpack --target "$target" -- \
            -Clink-arg=-pie -Clink-arg=-static
    )
    program=$where/$target/release/fleetpack
    runner=
    if [ "$processor" != "$(uname -m)" ]; then
        runner=$(command -v "qemu-$processor-static") ||
            { echo "$processor programs run here by qemu-$processor-static (qemu-user-static)" >&2; exit 1; }
    fi
    packaging/own/prove-static.sh "$program" ${runner:+"$runner"}
    example own_package -- "$program" "$dist" "$arch"
    archive "$program" "fleetpack-$target"
    bill "$target" "" "fleetpack-$target.tar.gz"
}

glibc() {
    target=$(uname -m)-unknown-linux-gnu
    cargo build --release --locked --bin fleetpack --target "$target" \
        --features pkcs11,macos-signing
    archive "$built/$target/release/fleetpack" "fleetpack-$target-full"
    bill "$target" pkcs11,macos-signing "fleetpack-$target-full.tar.gz"
}

finish() {
    rm -f "$dist/SHA256SUMS" "$dist/fleetpack.intoto.jsonl" "$dist/fleetpack.rb"
    (cd "$dist" && sha256sum -- fleetpack*) >"$dist/SHA256SUMS.new"
    mv "$dist/SHA256SUMS.new" "$dist/SHA256SUMS"
    commit=$(git rev-parse HEAD)
    example own_provenance -- statement "$dist/SHA256SUMS" "$commit" Cargo.lock \
        >"$dist/fleetpack.intoto.jsonl"
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
    packaging/homebrew/formula.sh "$version" "${FLEETPACK_ADDRESS:-https://example.com/fleetpack}" \
        "$dist/SHA256SUMS" >"$dist/fleetpack.rb"
}

for step in "$@"; do
    case $step in
        x86_64) static x86_64 amd64 ;;
        aarch64) static aarch64 arm64 ;;
        glibc) glibc ;;
        finish) finish ;;
        *) echo "release.sh knows no step $step" >&2; exit 2 ;;
    esac
done
