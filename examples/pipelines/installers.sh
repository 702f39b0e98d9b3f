#!/bin/sh
# Makes the installers of every team of teams.toml into out/, and asks whether hosts would be well
# with them; ends with another code than 0 when one could not be made or something fails already.
#
# UPDATE_URL is where the repository is read, root.json its root, from these sources and never from
# there. FLEETPACK_CACHE is a folder that the pipeline keeps: the second night is quicker. CACHE_KEY, a
# secret of the pipeline, is the key that its contents are authenticated with: `openssl rand -hex 32`
# makes one. The same commit and the same metadata of the repository make the same bytes; a new
# timestamp, every night, makes others.
set -eu
: "${CACHE_KEY:?is a secret of the pipeline: openssl rand -hex 32}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
mkdir -p out
key=$(mktemp)
trap 'rm -f "$key"' EXIT
trap 'exit 1' HUP INT TERM
printf %s "$CACHE_KEY" >"$key"
unset CACHE_KEY
fleetpack package --manifest teams.toml --outdir out --no-state \
    --cache "${FLEETPACK_CACHE:-.cache/fleetpack}" --cache-key-file "$key" \
    --checksums --sbom --statement
(cd out && sha256sum --check --quiet SHA256SUMS)
find out -type f \( -name '*.deb' -o -name '*.rpm' -o -name '*.pkg.tar.zst' -o -name '*.pkg' \
    -o -name '*.msi' \) -exec \
    fleetpack doctor --update-url "$UPDATE_URL" --update-roots @root.json {} +
