package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// TestTasks lets a provider ask for the data of a customer, finds them, and notes that it is done.
func TestTasks(t *testing.T) {
	h := newHouse(t, nil)
	h.want(201, "POST", "/api/v1/connections", `{"name": "my-shop", "connector": "shopify", "auth": "token", "values": {"shop": "acme", "token": "shpat_canary", "signing_secret": "canary-secret"}}`)
	started, _ := h.want(201, "POST", "/api/v1/workflows/orders/runs", `{"body": {"customer": "jon@example.com", "total": 5}}`)
	h.finished(started["id"].(string))

	body := `{"shop_id": 1, "shop_domain": "acme.myshopify.com", "customer": {"id": 7, "email": "jon@example.com"}}`
	mac := hmac.New(sha256.New, []byte("canary-secret"))
	mac.Write([]byte(body))
	signed := []string{"X-Shopify-Topic", "customers/data_request", "X-Shopify-Webhook-Id", "w-1", "X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	if res, text := h.call("POST", "/hooks/_/my-shop/privacy", body, signed...); res.StatusCode != 200 {
		t.Fatalf("the provider's call: %d %s", res.StatusCode, text)
	}
	list, _ := h.want(200, "GET", "/api/v1/tasks", "")
	tasks := list["items"].([]any)
	if len(tasks) != 1 {
		t.Fatalf("tasks: %v", list)
	}
	task := tasks[0].(map[string]any)
	if task["kind"] != "access" || task["subject"] != "jon@example.com" || task["connection"] != "my-shop" || task["done"] != nil {
		t.Fatalf("%v", task)
	}
	path := "/api/v1/tasks/" + task["id"].(string)
	res, text := h.call("GET", path+"/export", "")
	if res.StatusCode != 200 || !strings.Contains(text, started["id"].(string)) || !strings.Contains(text, "jon@example.com") {
		t.Fatalf("export: %d %s", res.StatusCode, text)
	}
	if done, _ := h.want(200, "POST", path+"/done", ""); done["done"] == nil || done["by"] != "admin" {
		t.Fatalf("%v", done)
	}
	h.want(404, "POST", "/api/v1/tasks/nope/done", "")
	h.want(404, "GET", "/api/v1/tasks/nope/export", "")
}
