package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
)

const (
	backupType    = "application/x-tar"
	snapshotTime  = 5 * time.Minute // until the snapshot is taken
	backupPerSend = time.Minute     // a reader that takes longer for one write is dropped
)

func (s *Server) backupRoutes() {
	if s.Backup == nil {
		return
	}
	handleWithin(s, snapshotTime, huma.Operation{
		OperationID: "backup", Method: http.MethodGet, Path: "/api/v1/backup", Tags: []string{"server"}, Summary: "All that is stored, as one tar file",
		Description: "A consistent snapshot of unfinished runs, history and sealed secrets, without their key. `bellhop backup` writes it to a file and tries it. " +
			"The last entry is checksums.json; where it is missing, the answer broke off. One at a time: 409.",
		Errors: []int{http.StatusConflict},
		Responses: map[string]*huma.Response{"200": {
			Description: "The files", Content: map[string]*huma.MediaType{backupType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}, s.sendBackup)
}

func (s *Server) sendBackup(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	write, err := s.Backup(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		w := humagin.Unwrap(hc).Writer
		w.Header().Set("Content-Type", backupType)
		out := &patientWriter{w: w, control: http.NewResponseController(w)}
		_ = out.control.SetReadDeadline(time.Time{}) // there is no more to read, and a backup outlasts the deadline
		if err := write(hc.Context(), out); err != nil {
			s.Log.Warn("a backup broke off", "error", err)
		}
	}}, nil
}

// patientWriter gives each write its own time.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(backupPerSend))
	return p.w.Write(b)
}
