#!/bin/sh
# What the integration tests run on: images where a Docker engine can be had, else the parts for plain processes. Never
# fails: the tests' closing lines say what ran on what, and what was skipped because nothing was to be had.
here="$(cd "$(dirname "$0")" && pwd)"
if [ -z "${GANTRY_TEST_WITHOUT_DOCKER:-}" ] && sh "$here/../engine.sh"; then
    if sh "$here/build.sh" base kafka opensearch s3; then
        docker compose version >/dev/null 2>&1 || sh "$here/artefacts.sh" compose || true
        exit 0
    fi
fi
sh "$here/artefacts.sh" || true
