#!/bin/bash
# Ends with 0 when Fleet's agent is installed and loaded, otherwise with 1 and a reason.

# The lowest version of the package that is good enough; empty for any.
version=

installed=$(pkgutil --pkg-info com.fleetdm.orbit.base.pkg 2>/dev/null |
    sed -n 's/^version: //p')
if [ -z "$installed" ]; then
    echo "the package is not installed"
    exit 1
fi
lowest=$(printf '%s\n%s\n' "$version" "$installed" | sort -t . -k 1,1n -k 2,2n -k 3,3n | head -n 1)
if [ "$lowest" != "$version" ] && [ -n "$version" ]; then
    echo "version $installed is installed, $version is wanted"
    exit 1
fi
if [ ! -x /opt/orbit/bin/orbit/orbit ]; then
    echo "the agent's program is gone"
    exit 1
fi
if ! launchctl print system/com.fleetdm.orbit >/dev/null 2>&1; then
    echo "the agent is not loaded"
    exit 1
fi
echo "version $installed is installed and loaded"
