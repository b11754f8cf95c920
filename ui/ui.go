// Package ui holds the files of the web interface as they are built, embedded into the program.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files is what the server serves below /.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is embedded two lines above
	}
	return files
}
