package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnpackTakesOnlyBackups: an archive made to write elsewhere, to fill the disk or to pass for another is refused, and
// nothing of it stays.
func TestUnpackTakesOnlyBackups(t *testing.T) {
	type entry struct {
		kind byte
		name string
		text string
		link string
	}
	file := func(name, text string) entry { return entry{tar.TypeReg, name, text, ""} }
	pack := func(entries ...entry) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, e := range entries {
			if err := w.WriteHeader(&tar.Header{Typeflag: e.kind, Name: e.name, Linkname: e.link, Size: int64(len(e.text)), Mode: 0o600}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(e.text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	head := func(files ...archiveFile) entry {
		text, _ := json.Marshal(archiveHead{Format: 1, Files: files})
		return file(headName, string(text))
	}
	sums := func(entries ...entry) entry {
		m := map[string]string{}
		for _, e := range entries {
			sum := sha256.Sum256([]byte(e.text))
			m[e.name] = hex.EncodeToString(sum[:])
		}
		text, _ := json.Marshal(m)
		return file(sumsName, string(text))
	}
	state := archiveFile{Name: "state.db", Size: 2}
	h := head(state)
	tests := map[string]struct {
		archive []byte
		want    string
	}{
		"empty":             {nil, "ends before backup.json"},
		"no tar":            {bytes.Repeat([]byte("x"), 4096), "no backup"},
		"a link":            {pack(h, entry{tar.TypeSymlink, "state.db", "", "/etc/passwd"}), "kind"},
		"a hard link":       {pack(h, entry{tar.TypeLink, "state.db", "", "backup.json"}), "kind"},
		"a way out":         {pack(head(archiveFile{Name: "../state.db", Size: 2}), file("../state.db", "no")), "no backup has a file"},
		"a way out below":   {pack(head(archiveFile{Name: "history/0/../../../20260101-1.db", Size: 2})), "no backup has a file"},
		"an absolute name":  {pack(head(archiveFile{Name: "/state.db", Size: 2})), "no backup has a file"},
		"the sidecar":       {pack(head(archiveFile{Name: "instance.json", Size: 2})), "no backup has a file"},
		"twice":             {pack(head(state, state)), "twice"},
		"another file":      {pack(h, file("secret.key", "no")), "due"},
		"another size":      {pack(h, file("state.db", "more")), "4 bytes"},
		"a negative size":   {pack(head(archiveFile{Name: "state.db", Size: -1})), "larger"},
		"more than fits":    {pack(head(archiveFile{Name: "state.db", Size: 1 << 62})), "larger"},
		"sizes that wrap":   {pack(head(archiveFile{Name: "state.db", Size: 1 << 62}, archiveFile{Name: "secrets.json", Size: 1 << 62})), "larger"},
		"a newer format":    {pack(file(headName, `{"format": 9}`)), "newer release"},
		"no files":          {pack(head()), "0 files"},
		"its end is gone":   {pack(h, file("state.db", "ab")), "ends before checksums.json"},
		"another checksum":  {pack(h, file("state.db", "ab"), sums(h, file("state.db", "ba"))), "checksum"},
		"too few checksums": {pack(h, file("state.db", "ab"), sums(h)), "lists 1 files of 2"},
		"more behind":       {pack(h, file("state.db", "ab"), sums(h, file("state.db", "ab")), file("x", "y")), "follows"},
		"no database":       {pack(h, file("state.db", "ab"), sums(h, file("state.db", "ab"))), "no database"},
		"too many files":    {pack(head(make([]archiveFile, maxArchiveFiles+1)...)), "20001 files"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := unpack(context.Background(), bytes.NewReader(test.archive), dir)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error about %q", err, test.want)
			}
			for _, dir := range []string{dir, filepath.Dir(dir)} {
				have, err := os.ReadDir(dir)
				if err != nil || len(have) > 1 || len(have) == 1 && have[0].Name() != "data" {
					t.Errorf("%s holds %v (%v)", dir, have, err)
				}
			}
		})
	}
}

// TestArchiveIsReadAsWritten, and each byte less is noticed.
func TestArchiveIsReadAsWritten(t *testing.T) {
	h := &archiveHead{Format: archiveFormat, Files: []archiveFile{
		{"state.db", 5, strings.NewReader("state and more")}, {"history/30/20260101-1.db", 0, strings.NewReader("")}, {"secrets.json", 2, strings.NewReader("{}")},
	}}
	var b bytes.Buffer
	if err := writeArchive(context.Background(), &b, h); err != nil {
		t.Fatal(err)
	}
	read := func(src []byte) (string, error) {
		var got strings.Builder
		err := readArchive(bytes.NewReader(src), 1<<20, func(*archiveHead) error { return nil }, func(f *archiveFile) error {
			var text bytes.Buffer
			_, err := text.ReadFrom(f.content)
			fmt.Fprintf(&got, "%s=%s ", f.Name, text.String())
			return err
		})
		return got.String(), err
	}
	if got, err := read(b.Bytes()); err != nil || got != "state.db=state history/30/20260101-1.db= secrets.json={} " {
		t.Errorf("got %q and %v", got, err)
	}
	end := bytes.LastIndexByte(bytes.TrimRight(b.Bytes(), "\x00"), '}')
	for n := range end {
		if _, err := read(b.Bytes()[:n]); !errors.Is(err, errBrokenArchive) {
			t.Fatalf("cut to %d of %d bytes: got %v", n, end, err)
		}
	}
}
