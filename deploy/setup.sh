#!/bin/sh
# Makes ./.venv with the locked dependencies. Works with the Python of Debian 12: what is missing (venv, pip) is
# installed when this runs as root on Debian, and named in one line otherwise.
set -eu
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-python3}"

fail() { echo "set-up: $1" >&2; exit 1; }

command -v "$PYTHON" >/dev/null 2>&1 || fail "no $PYTHON on PATH; Python 3.11 or newer is needed"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$PYTHON" --version) is too old; 3.11 or newer is needed"

apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

stamp=.venv/.lock-stamp
if ! cmp -s requirements.lock "$stamp"; then
    if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "set-up: installing python3-venv"
        apt_install python3-venv python3-pip || fail "this Python has no venv module; install python3-venv (Debian) and run again"
    fi
    echo "set-up: making .venv with the locked dependencies"
    [ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    cp requirements.lock "$stamp"
fi
