//go:build tools

// Package tools names the commands that the dev cluster builds from published modules.
package tools

import (
	_ "github.com/argoproj/argo-cd/v3/cmd"
)
