#!/bin/sh
# Makes ./.venv with the locked dependencies. Works with Python 3.11 (Debian 12) to 3.14: what is missing (venv, pip, for
# 3.14 a C++ compiler) is installed when this runs as root on Debian, and named in one line otherwise.
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

# pyjpegls has no wheel for Python 3.14, and is built there.
needs_compiler() { "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 14))'; }
have_compiler() { command -v g++ >/dev/null 2>&1 && [ -e "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]; }

stamp=.venv/.lock-stamp
if ! cmp -s requirements.lock "$stamp"; then
    if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "set-up: installing python3-venv"
        apt_install python3-venv python3-pip || fail "this Python has no venv module; install python3-venv (Debian) and run again"
    fi
    if [ ! -x .venv/bin/python ] && needs_compiler && ! have_compiler; then
        for older in python3.13 python3.12 python3.11; do
            "$older" -c 'import venv, ensurepip' 2>/dev/null && PYTHON="$older" && echo "set-up: with $older, which needs no compiler" && break
        done
        if needs_compiler; then
            echo "set-up: installing g++ and python3-dev"
            apt_install g++ python3-dev || fail "$("$PYTHON" --version) needs g++ and Python.h for pyjpegls (Debian: g++ python3-dev); or name an older one: PYTHON=python3.13 make setup"
        fi
    fi
    echo "set-up: making .venv with the locked dependencies"
    [ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    cp requirements.lock "$stamp"
fi
