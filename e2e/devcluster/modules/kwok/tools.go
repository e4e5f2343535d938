//go:build tools

// Package tools names the commands that the dev cluster builds from published modules.
package tools

import (
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
