#!/bin/sh
# formula.sh VERSION ADDRESS SHA256SUMS: the Homebrew formula of a release, for Linux. ADDRESS is the
# folder that the release's files are fetched from.
set -eu
version=$1 address=$2 sums=$3
sum() {
    awk -v name="$1" '$2 == name { print $1; found = 1 } END { exit !found }' "$sums"
}
amd64=fleetpack-x86_64-unknown-linux-musl.tar.gz
arm64=fleetpack-aarch64-unknown-linux-musl.tar.gz
amd64_sum=$(sum "$amd64")
arm64_sum=$(sum "$arm64")
cat <<END
class Fleetpack < Formula
  desc "Update repositories and installers for Fleet's agent"
  homepage "$address"
  version "$version"
  license any_of: ["MIT", "Apache-2.0"]
  depends_on :linux

  on_intel do
    url "$address/$amd64"
    sha256 "$amd64_sum"
  end

  on_arm do
    url "$address/$arm64"
    sha256 "$arm64_sum"
  end

  def install
    bin.install "fleetpack"
    generate_completions_from_executable(bin/"fleetpack", "completions")
    system bin/"fleetpack", "man", man1
  end

  test do
    system bin/"fleetpack", "quickstart"
  end
end
END
