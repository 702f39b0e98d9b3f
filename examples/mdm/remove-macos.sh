#!/bin/bash
# Removes Fleet's agent from a Mac: the daemon, its programs, data, logs, and the receipt.
# Nothing of it is asked for. Runs as root.

if [ "$(id -u)" -ne 0 ]; then
    echo "run this as root" >&2
    exit 1
fi
launchctl bootout system/com.fleetdm.orbit 2>/dev/null
pkill -x fleet-desktop
rm -f /Library/LaunchDaemons/com.fleetdm.orbit.plist
rm -f /usr/local/bin/orbit
rm -rf /opt/orbit
rm -rf /private/var/log/orbit
pkgutil --forget com.fleetdm.orbit.base.pkg >/dev/null 2>&1
if [ -e /opt/orbit ]; then
    echo "/opt/orbit could not be removed" >&2
    exit 1
fi
exit 0
