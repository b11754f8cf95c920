package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

const firstSettings = `# yaml-language-server: $schema=http://127.0.0.1:7788/schema/settings.json
# Settings that your team shares. Secrets stay outside: name an environment variable instead, as below.
# Every setting can also be a flag (--timezone) or a variable (BELLHOP_TIMEZONE).

# public_url: https://bell.example.com
timezone: UTC
storage: {max: 2GB, days: 30}

# Who is told when a workflow begins to fail, by any action:
# alerts: {on: failure, use: email.send, connection: ops-mail, with: {to: ops@example.com}}

# Addresses inside your network that workflows may call. The first example calls this machine.
outbound: {allow: [127.0.0.1/32]}

# connections:
#   my-crm: {connector: http, auth: bearer, hosts: [crm.example.com], token: "${{ env.CRM_TOKEN }}"}
`

const firstIgnore = "data/\n"

// Init makes a folder to start from: bellhop.yaml, .gitignore, and the example files (names as in examples) below
// workflows/. A bellhop.yaml among the examples is the folder's. A file that is there already stays as it is. It
// returns the paths that it made and those that it kept.
func Init(dir string, examples fs.FS) (made, kept []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("make folder: %w", err)
	}
	defer root.Close()
	texts := map[string][]byte{settingsFile: []byte(firstSettings), ".gitignore": []byte(firstIgnore)}
	names := []string{settingsFile, ".gitignore"}
	err = fs.WalkDir(examples, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := path.Join(workflowsDir, name)
		if name == settingsFile {
			to = name
		} else {
			names = append(names, to)
		}
		texts[to], err = fs.ReadFile(examples, name)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read examples: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		switch err := create(root, name, texts[name]); {
		case errors.Is(err, fs.ErrExist):
			kept = append(kept, filepath.Join(dir, filepath.FromSlash(name)))
		case err != nil:
			return made, kept, fmt.Errorf("make %s: %w", filepath.Join(dir, filepath.FromSlash(name)), reason(err))
		default:
			made = append(made, filepath.Join(dir, filepath.FromSlash(name)))
		}
	}
	return made, kept, nil
}

// create writes a file that is not there yet.
func create(root *os.Root, name string, text []byte) error {
	name = filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
