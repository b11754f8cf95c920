package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/server"
)

func TestSchemasAreForEveryone(t *testing.T) {
	h := newHouse(t, func(o *server.Options) { o.AdminToken = "secret-token" })
	for path, want := range map[string]int{
		"/schema/workflow.json": 200, "/schema/test.json": 200, "/schema/settings.json": 200,
		"/schema/workflow": 404, "/schema/nope.json": 404, "/schema/..%2Fworkflow.json": 404,
	} {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		res := httptest.NewRecorder()
		h.ServeHTTP(res, req)
		var schema map[string]any
		if err := json.Unmarshal(res.Body.Bytes(), &schema); err != nil || res.Code != want {
			t.Errorf("%s: %d, want %d (%v)", path, res.Code, want, err)
		}
		if _, is := schema["$schema"]; is != (want == 200) {
			t.Errorf("%s answers with a schema: %v", path, is)
		}
	}
}
