//go:build tools

// What is built beside the node with the same libraries, so that they are compiled once.
package main

import (
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
	_ "helm.sh/helm/v3/cmd/helm"
)
