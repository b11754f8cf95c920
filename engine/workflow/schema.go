package workflow

import (
	"embed"
	"fmt"
)

//go:embed schema/*.json
var schemas embed.FS

// Schema returns the JSON Schema (draft 2020-12) of a file format, for editors: workflow, test or settings. It says
// what a file looks like; Parse also knows what it means.
func Schema(kind string) ([]byte, error) {
	text, err := schemas.ReadFile("schema/" + kind + ".json")
	if err != nil {
		return nil, fmt.Errorf("there is no schema of %q: there are workflow, test and settings", kind)
	}
	return text, nil
}
