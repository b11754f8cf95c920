package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine/folder"
)

// settingsView is what the settings are now.
type settingsView struct {
	PublicURL   string   `json:"public_url" doc:"Where other apps reach this server."`
	Timezone    string   `json:"timezone" doc:"Of dates that name none."`
	StorageMax  string   `json:"storage_max" doc:"As bellhop.yaml has it, such as 2GB; empty: no bound."`
	StorageDays int      `json:"storage_days" doc:"0: for good."`
	StorageSize int64    `json:"storage_size" doc:"Bytes on disk now."`
	Allow       []string `json:"outbound_allow" nullable:"false" doc:"Private networks that workflows may call."`
	Alerts      *alerts  `json:"alerts,omitempty" doc:"Who is told when a workflow begins to fail; absent: nobody."`
	Folder      string   `json:"folder"`
	Version     string   `json:"version" doc:"Of this build."`
}

// alerts is a call of an action.
type alerts struct {
	Use        string         `json:"use" maxLength:"200" doc:"The action; empty in a change: nobody is told."`
	Connection string         `json:"connection,omitempty" maxLength:"200"`
	With       map[string]any `json:"with,omitempty" doc:"Its inputs. Its subject and its text are filled in when they are left out."`
}

// settingsChange is what can be changed here. An empty text takes a setting away.
type settingsChange struct {
	PublicURL   *string `json:"public_url,omitempty"`
	Timezone    *string `json:"timezone,omitempty"`
	StorageMax  *string `json:"storage_max,omitempty" example:"2GB"`
	StorageDays *string `json:"storage_days,omitempty" example:"30"`
	Alerts      *alerts `json:"alerts,omitempty" doc:"Takes effect at once."`
}

func (s *Server) settingsRoutes() {
	tags := []string{"settings"}
	handle(s, huma.Operation{
		OperationID: "read-settings", Method: http.MethodGet, Path: "/api/v1/settings", Tags: tags, Summary: "The settings",
	}, s.readSettings)
	handle(s, huma.Operation{
		OperationID: "change-settings", Method: http.MethodPatch, Path: "/api/v1/settings", Tags: tags, Summary: "Change settings in bellhop.yaml",
		Description: "The lines of the file that are not meant stay as they are. What was changed takes effect when the server starts again.",
	}, s.changeSettings)
}

func (s *Server) readSettings(ctx context.Context, _ *struct{}) (*body[settingsView], error) {
	now := s.Folder.Settings()
	stats, err := s.Engine.Store.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("size of the history: %w", err)
	}
	out := settingsView{
		PublicURL: now.PublicURL, Timezone: now.Timezone, StorageDays: now.Storage.Days, StorageSize: stats.Bytes,
		Allow: []string{}, Folder: s.Folder.Dir(), Version: s.Version,
	}
	if now.Storage.Max > 0 {
		out.StorageMax = folder.FormatSize(now.Storage.Max)
	}
	if a := now.Alerts; a != nil {
		out.Alerts = &alerts{a.Use, a.Connection, a.With}
	}
	for _, p := range now.Outbound.Allow {
		out.Allow = append(out.Allow, p.String())
	}
	return &body[settingsView]{out}, nil
}

func (s *Server) changeSettings(ctx context.Context, in *struct{ Body settingsChange }) (*body[settingsView], error) {
	values := map[string]string{}
	for key, v := range map[string]*string{
		"public_url": in.Body.PublicURL, "timezone": in.Body.Timezone, "storage.max": in.Body.StorageMax, "storage.days": in.Body.StorageDays,
	} {
		if v != nil {
			values[key] = *v
		}
	}
	if err := s.Folder.Change(values); err != nil {
		return nil, fail(http.StatusUnprocessableEntity, err.Error(), "nothing was changed")
	}
	if a := in.Body.Alerts; a != nil {
		var set *folder.Alert
		if a.Use != "" {
			set = &folder.Alert{Use: a.Use, Connection: a.Connection, With: a.With}
		}
		if err := s.Folder.SetAlerts(set); err != nil {
			return nil, fail(http.StatusUnprocessableEntity, err.Error(), "alerts were not changed")
		}
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s.readSettings(ctx, nil)
}

// adopted is the answer of a connector that was written.
type adopted struct {
	ID string `json:"id"`
}

func (s *Server) adoptConnector(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Text      string `json:"text" doc:"The manifest."`
		IfVersion string `json:"if_version,omitempty" doc:"Version of the file that it replaces; empty: there must be none."`
	}
},
) (*body[adopted], error) {
	err := s.Folder.Adopt(in.ID, []byte(in.Body.Text), in.Body.IfVersion)
	if errors.Is(err, folder.ErrChanged) {
		return nil, fail(http.StatusConflict, "there is a file connectors/"+in.ID+".yaml already", "choose another name, or change the file")
	}
	if err != nil {
		return nil, err
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return &body[adopted]{adopted{in.ID}}, nil
}
