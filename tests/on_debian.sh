#!/bin/sh
# Unit, integration and conformance tests on another Debian, and so on its Python: `tests/on_debian.sh trixie` (3.13).
# For root on Debian, with debootstrap. The system is made once, in the cache; the tree is that of the working copy.
set -eu
cd "$(dirname "$0")/.."
suite="${1:?which Debian: trixie}"
. deploy/images/versions.sh
root="$CACHE/debian-$suite"

fail() { echo "on $suite: $1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "only root can make and enter another system"
command -v debootstrap >/dev/null 2>&1 || fail "debootstrap is needed"
if [ ! -d "$root" ]; then
    echo "on $suite: making the system (a minute or two)"
    work="$CACHE/.debian.$$"
    trap 'rm -rf "$work"' EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,git,make,openssl,ca-certificates "$suite" "$work" >"$work.log" 2>&1 ||
        fail "debootstrap failed: see $work.log"
    rm -f "$work.log"
    mv "$work" "$root"
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
mkdir -p "$root/root/gantry"
find "$root/root/gantry" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T - | tar -x -C "$root/root/gantry"
# Mounts of its own: nothing of them is seen outside, and they end with it.
exec unshare --mount --propagation private sh -eu -c '
    root="$1"
    mount --bind /proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" sh -eu -c "
        cd /root/gantry
        make setup
        .venv/bin/python --version
        .venv/bin/gantry demo
        .venv/bin/python -m pytest -q -n 2 tests/unit tests/compat tests/integration tests/conformance"
' sh "$root"
