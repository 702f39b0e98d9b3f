#!/bin/sh
# Installs what the tests' tools need, on Debian 12 as root, where Rust, Go, Python, Node
# and a C compiler are. Does nothing that is already done. Prints what it found.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=ci/versions
. "$here/versions"
tools=${FLEETPACK_TOOLS:-$HOME/.cache/fleetpack-tools}
mkdir -p "$tools"

# One package a line, with what asks for it.
packages() {
    sed 's/#.*//' "$here/packages"
}

missing_packages() {
    for package in $(packages); do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s ' "$package"
    done
}

install_packages() {
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    echo "installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=600 -q update
    # Services that a package would start have no business on a build machine.
    refusal=/usr/sbin/policy-rc.d
    if [ ! -e $refusal ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >$refusal
        chmod 755 $refusal
    fi
    # shellcheck disable=SC2086 # one word per package
    apt-get -o DPkg::Lock::Timeout=600 -q install -y --no-install-recommends $missing </dev/null
}

install_python() {
    wanted="tuf==$PYTHON_TUF securesystemslib[crypto]==$PYTHON_SECURESYSTEMSLIB"
    wanted="$wanted cyclonedx-python-lib[json-validation]==$PYTHON_CYCLONEDX"
    wanted="$wanted in-toto-attestation==$PYTHON_IN_TOTO"
    wanted="$wanted check-jsonschema==$PYTHON_CHECK_JSONSCHEMA"
    stamp=$tools/python/fleetpack-versions
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
    rm -rf "$tools/python"
    # Debian's own interpreter: it is still there when a version manager is not.
    /usr/bin/python3 -m venv "$tools/python"
    # shellcheck disable=SC2086 # one word per package
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >"$stamp"
}

# Module sums are checked against tests/interop/*/go.sum; the tests build the programs.
install_go_modules() {
    for module in "$here"/../tests/interop/*/go.mod; do
        [ -e "$module" ] || continue
        (cd "$(dirname "$module")" && go mod download)
    done
}

# A crate of its own with its own lock file: what it needs is nothing of ours.
install_tough() {
    source=$here/../tests/interop/tough
    stamp=$tools/tough/stamp
    wanted=$(cat "$source/Cargo.toml" "$source/Cargo.lock" "$source/src/main.rs" | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
    CARGO_TARGET_DIR=$tools/tough/target \
        cargo install --quiet --debug --locked --force --path "$source" --root "$tools/tough"
    rm -rf "$tools/tough/target"
    echo "$wanted" >"$stamp"
}

# The fuzzing driver; the program goes to its own folder, which .ci/run puts on the path.
install_cargo_fuzz() {
    stamp=$tools/cargo-fuzz/version
    [ "$(cat "$stamp" 2>/dev/null)" != "$CARGO_FUZZ" ] || return 0
    CARGO_TARGET_DIR=$tools/cargo-fuzz/target cargo install --quiet --locked --force \
        --version "$CARGO_FUZZ" --root "$tools/cargo-fuzz" cargo-fuzz
    rm -rf "$tools/cargo-fuzz/target"
    echo "$CARGO_FUZZ" >"$stamp"
}

# Servers that tests start; their sums are checked as above.
build_go_server() {
    name=$1 package=$2 version=$3
    stamp=$tools/go/$name.version
    module=$here/../tests/interop/$name
    # Some have a layer of ours around them.
    wanted="$version $(find "$module" -type f | sort | xargs cat | sha256sum)"
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
    grep -q " v$version\\( \\|\$\\)" "$module/go.mod" || {
        echo "ci/versions and $module/go.mod differ" >&2
        exit 1
    }
    mkdir -p "$tools/go"
    (cd "$module" && go build -trimpath -ldflags=-s -o "$tools/go/$name" "$package")
    echo "$wanted" >"$stamp"
}

install_azurite() {
    stamp=$tools/azurite/fleetpack-version
    [ "$(cat "$stamp" 2>/dev/null)" != "$AZURITE" ] || return 0
    rm -rf "$tools/azurite"
    npm install --silent --prefix "$tools/azurite" --no-audit --no-fund --omit=dev \
        "azurite@$AZURITE"
    echo "$AZURITE" >"$stamp"
}

(
    # Two runs at once on one machine take turns.
    flock 9
    install_packages
    install_python
    install_go_modules
    install_tough
    install_cargo_fuzz
    build_go_server versitygw github.com/versity/versitygw/cmd/versitygw "$VERSITYGW"
    build_go_server fake-gcs-server . "$FAKE_GCS_SERVER"
    install_azurite
) 9>"$tools/lock"

echo "packages:"
for package in $(packages); do
    dpkg-query -W -f '  ${Package} ${Version}\n' "$package"
done
"$tools/python/bin/pip" freeze --quiet --disable-pip-version-check | sed 's/^/  python /'
echo "  $(rustc --version)"
echo "  $(go version)"
