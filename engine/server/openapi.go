package server

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

const openAPIPath = "/api/v1/openapi.json"

// apiConfig is huma's without its pages, schema links and second formats: one description, one format.
func apiConfig(version string) huma.Config {
	c := huma.DefaultConfig("Bellhop", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.NoFormatFallback = false
	c.Info.Description = "Lists are paged: pass `next` as `cursor` until it is empty. Errors are RFC 9457 problems. " +
		"A workflow id may hold slashes; send them as they are or as %2F."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "The admin token (BELLHOP_ADMIN_TOKEN). A server without one answers callers on its own machine."},
	}
	c.Security = []map[string][]string{{"token": {}}}
	return c
}

// renderOpenAPI writes the description once: the routes do not change after New.
func (s *Server) renderOpenAPI() (err error) {
	if s.openAPI, err = json.Marshal(s.api.OpenAPI()); err != nil {
		return fmt.Errorf("render the description of the API: %w", err)
	}
	return nil
}

func (s *Server) serveOpenAPI(c *gin.Context) {
	c.Header("Cache-Control", "no-cache")
	c.Data(http.StatusOK, "application/openapi+json", s.openAPI)
}
