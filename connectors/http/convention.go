package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

// The actions of this file are one POST each. What they have in common with http.request, such as addresses, secrets and
// failures, is done by it; they only write the body and read the answer.

// common are the inputs that every action of this file has, behind its own.
func common(own connectors.Schema) connectors.Schema {
	from := input()
	own.Type, own.Closed = "object", true
	own.Required = append([]string{"url"}, own.Required...)
	own.Order = append(append([]string{"url"}, own.Order...), "headers", "timeout")
	for _, name := range []string{"url", "headers", "timeout"} {
		s := from.Properties[name]
		if name != "url" {
			s.Show = "more"
		}
		own.Properties[name] = s
	}
	return own
}

// post makes the call. Its body is one of the inputs of http.request: json or xml.
func post(ctx context.Context, c *connectors.Call, own connectors.Schema, body string, content any, headers map[string]any, unwrap func(any) (out any, fault string, ok bool)) (any, error) {
	if c.HTTP == nil {
		return nil, connectors.Permanent(errors.New("no HTTP client was given"))
	}
	for name := range c.Input {
		if _, known := own.Properties[name]; !known {
			return nil, connectors.Permanent(fmt.Errorf("there is no input %q", name))
		}
	}
	given, err := object("headers", c.Input["headers"])
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	all := map[string]any{}
	for _, set := range []map[string]any{headers, given} {
		for name, v := range set {
			all[http.CanonicalHeaderKey(name)] = v
		}
	}
	inner := *c
	inner.Input = map[string]any{"method": http.MethodPost, "url": c.Input["url"], "headers": all, "timeout": c.Input["timeout"], body: content}
	r, err := newRequest(&inner)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	r.unwrap = func(res *http.Response, raw []byte) (any, bool, error) {
		success := res.StatusCode >= 200 && res.StatusCode < 300
		out, fault, ok := unwrap(wire.Parse(res.Header.Get("Content-Type"), raw))
		switch {
		case fault != "":
			message := r.url.Host + ": " + wire.Excerpt("text/plain", []byte(fault), r.secrets)
			return nil, true, connectors.Permanent(&connectors.StatusError{Status: res.StatusCode, Message: message})
		case !success:
			return nil, false, nil
		case !ok:
			message := r.url.Host + " answered, but not in this convention: check the address"
			return nil, true, connectors.Permanent(&connectors.StatusError{Status: res.StatusCode, Message: message})
		}
		return out, true, nil
	}
	return r.do(ctx, c.HTTP)
}

func required(input map[string]any, name string) (string, error) {
	text, ok := input[name].(string)
	if !ok || strings.TrimSpace(text) == "" {
		return "", connectors.Permanent(fmt.Errorf("%s is missing", name))
	}
	return text, nil
}

// optional reads a text that may be missing.
func optional(input map[string]any, name string) (string, error) {
	switch v := input[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", connectors.Permanent(fmt.Errorf("%s is %s, not text", name, kind(input[name])))
}

// graphql calls an API of GraphQL (spec of October 2021; GraphQL over HTTP).
func graphql() connectors.Action {
	in := common(connectors.Schema{
		Required: []string{"query"},
		Order:    []string{"query", "variables", "operation"},
		Properties: map[string]connectors.Schema{
			"query":     {Type: "string", Format: "multiline", Title: "Query", Description: "A query or a mutation.", Examples: []any{"query($id: ID!) { order(id: $id) { total } }"}},
			"variables": {Type: "object", Values: &connectors.Schema{}, Title: "Variables", Description: "Values for what the query begins with $."},
			"operation": {Type: "string", Title: "Operation", Show: "more", Description: "Its name, where the query has several."},
		},
	})
	return connectors.Action{
		Name: "graphql", Title: "GraphQL query", Summary: "Asks a GraphQL API and returns its data.",
		Input: in, Output: connectors.Schema{Title: "Data"},
		Sample:  map[string]any{"order": map[string]any{"total": 129}},
		SafeFor: onlyReads, RepeatFor: onlyReads,
		Do: func(ctx context.Context, c *connectors.Call) (any, error) {
			query, err := required(c.Input, "query")
			if err != nil {
				return nil, err
			}
			message := map[string]any{"query": query}
			if v := c.Input["variables"]; v != nil {
				if message["variables"], err = object("variables", v); err != nil {
					return nil, connectors.Permanent(err)
				}
			}
			operation, err := optional(c.Input, "operation")
			if err != nil {
				return nil, err
			}
			if operation != "" {
				message["operationName"] = operation
			}
			return post(ctx, c, in, "json", message, map[string]any{"Accept": "application/json"}, graphqlData)
		},
	}
}

// onlyReads reports that a document of GraphQL cannot change anything. A word that only looks like it costs a retry, no
// more.
func onlyReads(input map[string]any) bool {
	query, _ := input["query"].(string)
	return query != "" && !strings.Contains(query, "mutation") && !strings.Contains(query, "subscription")
}

func graphqlData(v any) (out any, fault string, ok bool) {
	answer, isObject := v.(map[string]any)
	if !isObject {
		return nil, "", false
	}
	if list, isList := answer["errors"].([]any); isList && len(list) > 0 {
		first, _ := list[0].(map[string]any)
		if text := value.Text(first["message"]); text != "" {
			return nil, text, true
		}
		return nil, "the query failed", true
	}
	data, ok := answer["data"]
	return data, "", ok
}

// soap calls a SOAP service.
func soap() connectors.Action {
	in := common(connectors.Schema{
		Required: []string{"body"},
		Order:    []string{"body", "namespace", "action", "version", "header"},
		Properties: map[string]connectors.Schema{
			"body":      {Type: "object", Values: &connectors.Schema{}, Title: "Content", Description: "One element: @name is an attribute, #text is text.", Examples: []any{map[string]any{"GetStock": map[string]any{"Sku": "LAMP-1"}}}},
			"namespace": {Type: "string", Title: "Namespace", Examples: []any{"urn:acme:stock"}},
			"action":    {Type: "string", Title: "Action", Description: "The soapAction of the service description.", Examples: []any{"urn:GetStock"}},
			"version":   {Type: "string", Title: "Version", Enum: []any{"1.1", "1.2"}, Default: "1.1", Show: "more"},
			"header":    {Type: "object", Values: &connectors.Schema{}, Title: "Header of the envelope", Show: "more"},
		},
	})
	return connectors.Action{
		Name: "soap", Title: "SOAP call", Summary: "Calls a SOAP service and returns what the body of its answer holds.",
		Input: in, Output: connectors.Schema{Title: "Content", Description: "Names are without their prefixes."},
		Sample: map[string]any{"GetStockResponse": map[string]any{"Quantity": "7"}},
		Do: func(ctx context.Context, c *connectors.Call) (any, error) {
			body, err := object("body", c.Input["body"])
			switch {
			case err != nil:
				return nil, connectors.Permanent(err)
			case len(body) != 1:
				return nil, connectors.Permanent(errors.New("body is one element, such as {GetStock: {Sku: LAMP-1}}"))
			}
			call := wire.SOAP{Body: body}
			for name, into := range map[string]*string{"namespace": &call.Namespace, "action": &call.Action, "version": &call.Version} {
				if *into, err = optional(c.Input, name); err != nil {
					return nil, err
				}
			}
			if call.Version != "" && call.Version != "1.1" && call.Version != "1.2" {
				return nil, connectors.Permanent(fmt.Errorf("version %q is not one of 1.1, 1.2", call.Version))
			}
			header, err := object("header", c.Input["header"])
			if err != nil {
				return nil, connectors.Permanent(err)
			}
			if header != nil {
				call.Header = header
			}
			text, contentType, action, err := call.Encode()
			if err != nil {
				return nil, connectors.Permanent(fmt.Errorf("body: %w", err))
			}
			headers := map[string]any{"Content-Type": contentType}
			if action != "" {
				headers["Soapaction"] = action
			}
			return post(ctx, c, in, "xml", string(text), headers, wire.SOAPBody)
		},
	}
}

// jsonRPC calls a method of JSON-RPC 2.0 (specification of 2013-01-04).
func jsonRPC() connectors.Action {
	in := common(connectors.Schema{
		Required: []string{"method"},
		Order:    []string{"method", "params"},
		Properties: map[string]connectors.Schema{
			"method": {Type: "string", Title: "Method", Examples: []any{"stock.get"}},
			"params": {Title: "Parameters", Description: "A list in their order, or an object by their names.", Examples: []any{map[string]any{"sku": "LAMP-1"}}},
		},
	})
	return connectors.Action{
		Name: "json_rpc", Title: "JSON-RPC call", Summary: "Calls a method of a JSON-RPC 2.0 service and returns its result.",
		Input: in, Output: connectors.Schema{Title: "Result"},
		Sample: map[string]any{"quantity": 7},
		Do: func(ctx context.Context, c *connectors.Call) (any, error) {
			name, err := required(c.Input, "method")
			if err != nil {
				return nil, err
			}
			message := map[string]any{"jsonrpc": "2.0", "id": 1, "method": name}
			switch params := c.Input["params"].(type) {
			case nil:
			case []any, map[string]any:
				message["params"] = params
			default:
				return nil, connectors.Permanent(fmt.Errorf("params is %s, not a list or an object", kind(params)))
			}
			return post(ctx, c, in, "json", message, map[string]any{"Accept": "application/json"}, rpcResult)
		},
	}
}

func rpcResult(v any) (out any, fault string, ok bool) {
	answer, isObject := v.(map[string]any)
	if !isObject {
		return nil, "", false
	}
	if e, failed := answer["error"].(map[string]any); failed {
		if text := value.Text(e["message"]); text != "" {
			return nil, text, true
		}
		return nil, "the method failed", true
	}
	out, ok = answer["result"]
	return out, "", ok
}
