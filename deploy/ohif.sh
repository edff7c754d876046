#!/bin/sh
# Fetches OHIF, the viewer, from npm's registry into the user's cache and prints the folder that `http.ohif` wants.
#
#   deploy/ohif.sh            fetch it where it is not there
#   deploy/ohif.sh --there    only print the folder where it is there
#
# Cached by version; never part of the repository. Exit code 1 where it cannot be had, with one line why.
set -eu
OHIF=3.13.2
cache="${GANTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gantry}"
folder="$cache/ohif-$OHIF"
if [ -e "$folder/index.html" ]; then
    echo "$folder"
    exit 0
fi
[ "${1:-}" != --there ] || exit 0
command -v npm >/dev/null 2>&1 || { echo "ohif: npm is not here; the study list works without the viewer" >&2; exit 1; }
mkdir -p "$cache"
work="$(mktemp -d "$cache/.ohif.XXXXXX")"
trap 'rm -rf "$work"' EXIT
echo "ohif: fetching OHIF $OHIF (50 MB)" >&2
(cd "$work" && npm pack --silent "@ohif/app@$OHIF" >/dev/null && tar xzf ./*.tgz) || { echo "ohif: npm could not fetch it" >&2; exit 1; }
# Maps are for debugging, and the segmentation model's runtime is of use with models from elsewhere only: 150 MB of 200.
find "$work/package/dist" -name '*.map' -delete
rm -rf "$work/package/dist/ort"
# It is built for the root of a server; here it lives below /ohif.
cd "$work/package/dist"
sed -i -e 's#\(href\|src\|content\)="/#\1="/ohif/#g' -e 's#window.PUBLIC_URL="/"#window.PUBLIC_URL="/ohif/"#' index.html
sed -i 's#"/assets/#"/ohif/assets/#g' manifest.json
find . -name '*.js' -exec sed -i 's#__webpack_require__\.p = "/";#__webpack_require__.p = "/ohif/";#' {} +
find . -name '*.css' -exec sed -i 's#url(/\([a-z0-9]\)#url(/ohif/\1#g' {} +
grep -q 'PUBLIC_URL="/ohif/"' index.html && grep -q '__webpack_require__.p = "/ohif/"' app.bundle.*.js ||
    { echo "ohif: this version is built in another way than the script knows" >&2; exit 1; }
cp "$work/package/LICENSE" "$work/package/dist/LICENSE"
chmod -R a+rX "$work/package/dist"
mv "$work/package/dist" "$folder" 2>/dev/null || [ -e "$folder/index.html" ]
echo "$folder"
