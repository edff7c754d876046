#!/bin/sh
# The chart as plain manifests, for who installs without helm: deploy/kubernetes/gantry.yaml, or standard output with `-`.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
. "$here/../images/versions.sh"
helm="$CACHE/$(sh "$here/../images/artefacts.sh" --kubernetes-name)/helm"
[ -x "$helm" ] || helm="$(command -v helm)" || { echo "manifests: no helm here: deploy/images/artefacts.sh kubernetes builds one" >&2; exit 1; }
rendered() {
    echo "# Rendered from the chart deploy/helm/gantry with deploy/helm/examples/plain.yaml by \`make manifests\`; not edited by hand."
    "$helm" template gantry "$here/gantry" -f "$here/examples/plain.yaml" --kube-version "$KUBERNETES" | sed 's/^\( *app.kubernetes.io\/managed-by:\) Helm$/\1 kubectl/'
}
if [ "${1:-}" = - ]; then rendered; else rendered >"$here/../kubernetes/gantry.yaml"; fi
