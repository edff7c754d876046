#!/bin/sh
# Fetches axe-core, which finds what readers of screens cannot use, from npm's registry into the user's cache, and prints
# the file. For tests only: the page does not need it.
#
#   deploy/axe.sh            fetch it where it is not there
#   deploy/axe.sh --there    only print the file where it is there
#
# Cached by version; never part of the repository. Exit code 1 where it cannot be had, with one line why.
set -eu
AXE=4.14.1
cache="${GANTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gantry}"
file="$cache/axe-core-$AXE/axe.min.js"
if [ -e "$file" ]; then
    echo "$file"
    exit 0
fi
[ "${1:-}" != --there ] || exit 0
command -v npm >/dev/null 2>&1 || { echo "axe: npm is not here; the tests of accessibility are skipped" >&2; exit 1; }
mkdir -p "$cache"
work="$(mktemp -d "$cache/.axe.XXXXXX")"
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "axe-core@$AXE" >/dev/null && tar xzf ./*.tgz) || { echo "axe: npm could not fetch it" >&2; exit 1; }
mkdir -p "$cache/axe-core-$AXE"
cp "$work/package/LICENSE" "$cache/axe-core-$AXE/"
mv "$work/package/axe.min.js" "$file"
echo "$file"
