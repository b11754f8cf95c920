package server

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bellhop-dev/bellhop/connectors/manifest"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// schema serves the JSON Schema of a file format, so that the first line of a file can name it and any editor
// completes what is written: /schema/workflow.json, test.json, connector.json, settings.json. Anyone may read it.
func (s *Server) schema(c *gin.Context) {
	kind, isJSON := strings.CutSuffix(c.Param("file"), ".json")
	text, err := workflow.Schema(kind)
	if kind == "connector" {
		text, err = manifest.Schema(), nil
	}
	if err != nil || !isJSON {
		writeFailure(c, fail(http.StatusNotFound, "there is no such schema", "there are workflow.json, test.json, connector.json and settings.json"))
		return
	}
	c.Header("Cache-Control", "no-cache")
	c.Header("Access-Control-Allow-Origin", "*") // editors in a browser fetch it from their own origin
	c.Data(http.StatusOK, "application/schema+json", text)
}
