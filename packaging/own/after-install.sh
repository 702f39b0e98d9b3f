# shellcheck shell=sh
if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers fleetpack.conf || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
