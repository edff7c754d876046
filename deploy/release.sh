#!/bin/sh
# Makes a release in ./dist from a clean checkout: wheel, image (where a Docker engine answers), their SBOMs, checksums,
# and a signature of these by the SSH key that RELEASE_KEY names. Nothing is uploaded.
#
# The SBOMs are syft's (https://github.com/anchore/syft): the one of the path, else one that is built here with go.
set -eu
cd "$(dirname "$0")/.."
PY=.venv/bin/python
. deploy/images/versions.sh

fail() { echo "release: $1" >&2; exit 1; }

version="$("$PY" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')"
[ -z "$(git status --porcelain)" ] || [ "${ALLOW_DIRTY:-}" = 1 ] || fail "there are changes that are not committed"
grep -q "^## $version" CHANGELOG.md || fail "CHANGELOG.md has no section for $version"
[ -z "${RELEASE_KEY:-}" ] || [ -r "$RELEASE_KEY" ] || fail "RELEASE_KEY: $RELEASE_KEY cannot be read"
syft="$(command -v syft)" || { sh deploy/images/artefacts.sh syft && syft="$CACHE/syft-$SYFT/syft"; } ||
    fail "the SBOM needs syft on the path, or go to build it"
revision="$(git rev-parse --short=12 HEAD)"

# Not in the checkout itself: setuptools leaves a build folder beside what it builds, and would take files of an earlier one.
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT
git archive HEAD | tar -x -C "$tree"
rm -rf dist && mkdir dist
"$PY" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist "$tree"

listed() { # listed SOURCE NAME: its SBOM in dist/NAME.cdx.json, the same each time it is made
    "$syft" scan --quiet --source-name gantry --source-version "$version" -o "cyclonedx-json=$tree/sbom.json" "$1"
    "$PY" deploy/sbom.py <"$tree/sbom.json" >"dist/$2.cdx.json"
}

# An SBOM lists what an installation consists of, so it is taken from one: the wheel with the locked packages it needs.
"$PY" -m venv --without-pip "$tree/installed"
"$PY" deploy/images/runtime.py >"$tree/runtime.lock"
into() { "$PY" -m pip --python "$tree/installed/bin/python" install --quiet --disable-pip-version-check --no-deps "$@"; }
into --require-hashes -r "$tree/runtime.lock"
into --no-index dist/*.whl
listed "dir:$tree/installed/lib" "gantry-$version"

if command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    sh deploy/images/build.sh gantry >/dev/null 2>&1 || fail "the image was not built (sh deploy/images/build.sh gantry says why)"
    docker tag "$GANTRY_IMAGE" "gantry:$version"
    docker save -o "$tree/image.tar" "gantry:$version"
    listed "docker-archive:$tree/image.tar" "gantry-$version-image"
    gzip -n <"$tree/image.tar" >"dist/gantry-$version-image.tar.gz"
else
    echo "release: no Docker engine answers, so there is no image"
fi
(cd dist && sha256sum -- * >SHA256SUMS)
if [ -n "${RELEASE_KEY:-}" ]; then
    ssh-keygen -q -Y sign -f "$RELEASE_KEY" -n gantry-release dist/SHA256SUMS
else
    echo "release: the checksums are not signed (RELEASE_KEY names no key)"
fi
echo "release $version of $revision in dist/:"
ls -l dist | awk 'NR > 1 { print "  " $9, $5, "bytes" }'
