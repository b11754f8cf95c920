package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"github.com/bellhop-dev/bellhop/engine/trigger"
)

// TaskID is the path of a route about one task.
type TaskID struct {
	ID string `path:"id" maxLength:"200"`
}

// taskRoutes are about what the law asks for: a provider tells us that a person wants their data, or wants it erased.
func (s *Server) taskRoutes() {
	tags := []string{"tasks"}
	handle(s, huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/api/v1/tasks", Tags: tags, Summary: "What privacy laws ask for, the first deadline first",
		Description: "A request to erase is done by itself where the subject is clear; one to hand out data waits for a person. Those that are done stand last.",
	}, s.listTasks)
	handle(s, huma.Operation{
		OperationID: "export-task", Method: http.MethodGet, Path: "/api/v1/tasks/{id}/export", Tags: tags, Summary: "What the runs hold of the subject of a task",
		Responses: map[string]*huma.Response{"200": {
			Description: "One JSON object on each line: run, workflow, step, at and data",
			Content:     map[string]*huma.MediaType{"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
		Errors: []int{http.StatusNotFound},
	}, s.exportTask)
	handle(s, huma.Operation{
		OperationID: "finish-task", Method: http.MethodPost, Path: "/api/v1/tasks/{id}/done", Tags: tags, Summary: "Note that a task is done",
		Errors: []int{http.StatusNotFound},
	}, s.finishTask)
}

func (s *Server) listTasks(ctx context.Context, in *Paging) (*body[page[trigger.Task]], error) {
	tasks, err := s.Triggers.Tasks(ctx)
	if err != nil {
		return nil, err
	}
	// The list is in the order of deadlines, so the cursor is the id that the page before ended with.
	if in.Cursor != "" {
		for i := range tasks {
			if tasks[i].ID == in.Cursor {
				tasks = tasks[i+1:]
				break
			}
		}
	}
	out := page[trigger.Task]{Items: append([]trigger.Task{}, tasks[:min(len(tasks), in.Limit)]...)}
	if len(tasks) > in.Limit {
		out.Next = out.Items[in.Limit-1].ID
	}
	return &body[page[trigger.Task]]{out}, nil
}

func (s *Server) exportTask(ctx context.Context, in *TaskID) (*huma.StreamResponse, error) {
	if _, err := s.Triggers.Task(ctx, in.ID); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		w := humagin.Unwrap(hc).Writer
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Content-Disposition", `attachment; filename="task.jsonl"`)
		err := s.Triggers.ExportTask(hc.Context(), in.ID, func(line []byte) error {
			_, err := w.Write(append(line, '\n'))
			return err
		})
		if err != nil {
			s.Log.WarnContext(hc.Context(), "an export of a task broke off", "task", in.ID, "error", err)
			panic(http.ErrAbortHandler) // half of it must not look whole
		}
	}}, nil
}

func (s *Server) finishTask(ctx context.Context, in *TaskID) (*body[trigger.Task], error) {
	t, err := s.Triggers.FinishTask(ctx, in.ID, "admin")
	if err != nil {
		return nil, err
	}
	return &body[trigger.Task]{*t}, nil
}
