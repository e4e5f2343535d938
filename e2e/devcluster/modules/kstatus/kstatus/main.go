// Command kstatus prints what sigs.k8s.io/cli-utils says of objects: the library by which Flux, Helm 4 and kpt tell
// whether something that they have applied is through.
//
//	kstatus FILE...    one YAML document a file; a line each: file, status, message, with tabs between them
package main

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

func main() {
	for _, path := range os.Args[1:] {
		result, err := compute(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "kstatus: %s: %v\n", path, err)
			os.Exit(1)
		}
		message := strings.Join(strings.Fields(result.Message), " ")
		fmt.Printf("%s\t%s\t%s\n", path, result.Status, message)
	}
}

func compute(path string) (*status.Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	document, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(document); err != nil {
		return nil, err
	}
	return status.Compute(object)
}
