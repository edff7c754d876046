#!/bin/sh
# Makes a release in ./dist from a clean checkout: wheel, image (where a Docker engine answers), SBOM, checksums.
# Nothing is uploaded.
set -eu
cd "$(dirname "$0")/.."
PY=.venv/bin/python

fail() { echo "release: $1" >&2; exit 1; }

version="$("$PY" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')"
[ -z "$(git status --porcelain)" ] || [ "${ALLOW_DIRTY:-}" = 1 ] || fail "there are changes that are not committed"
grep -q "^## $version" CHANGELOG.md || fail "CHANGELOG.md has no section for $version"
revision="$(git rev-parse --short=12 HEAD)"

# Not in the checkout itself: setuptools leaves a build folder beside what it builds, and would take files of an earlier one.
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT
git archive HEAD | tar -x -C "$tree"
rm -rf dist && mkdir dist
"$PY" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist "$tree"

# The SBOM lists what an installation consists of, so it is taken from one: the wheel with the locked packages it needs.
"$PY" -m venv "$tree/installed"
"$PY" deploy/images/runtime.py >"$tree/runtime.lock"
"$tree/installed/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$tree/runtime.lock"
"$tree/installed/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index dist/*.whl
"$PY" -m venv "$tree/tools"
"$tree/tools/bin/python" -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7,<8'
"$tree/tools/bin/cyclonedx-py" environment --output-reproducible --of JSON -o "dist/gantry-$version.cdx.json" "$tree/installed/bin/python"

if command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    sh deploy/images/build.sh gantry >/dev/null 2>&1 || fail "the image was not built (sh deploy/images/build.sh gantry says why)"
    docker tag gantry:dev "gantry:$version"
    docker save "gantry:$version" | gzip -n >"dist/gantry-$version-image.tar.gz"
else
    echo "release: no Docker engine answers, so there is no image"
fi
(cd dist && sha256sum -- * >SHA256SUMS)
echo "release $version of $revision in dist/:"
ls -l dist | awk 'NR > 1 { print "  " $9, $5, "bytes" }'
