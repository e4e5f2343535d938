//go:build tools

// Package tools names the commands that the dev cluster builds from published modules.
package tools

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
