package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what /metrics shows, in a registry of their own. Labels are statuses and HTTP codes only: what users
// name, such as workflows, would let the series grow without bound.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	answers  prometheus.Histogram
	refused  prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bellhop_hook_calls_total", Help: "Inbound calls answered since start, by HTTP status."}, []string{"code"}),
		answers: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bellhop_hook_accept_seconds", Help: "Time from the headers of an accepted call to its answer; a call that waits for a respond step counts with its wait.",
			Buckets: []float64{.0005, .001, .002, .004, .008, .016, .032, .064, .125, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "bellhop_connections_refused_total", Help: "Connections closed at once because too many were open."}),
	}
	m.registry.MustRegister(m.calls, m.answers, m.refused, &storeCollector{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: callTimeout})
}

func (m *metrics) hook(status int, took time.Duration) {
	m.calls.WithLabelValues(strconv.Itoa(status)).Inc()
	if status < 300 {
		m.answers.Observe(took.Seconds())
	}
}

// storeCollector reads the state of the store when it is asked.
type storeCollector struct{ s *Server }

var (
	startedDesc     = prometheus.NewDesc("bellhop_runs_started_total", "Runs accepted since start.", nil, nil)
	finishedDesc    = prometheus.NewDesc("bellhop_runs_finished_total", "Runs finished since start, by status.", []string{"status"}, nil)
	runsDesc        = prometheus.NewDesc("bellhop_runs", "Unfinished runs, by state.", []string{"state"}, nil)
	oldestDesc      = prometheus.NewDesc("bellhop_oldest_ready_seconds", "Age of the oldest run that is ready and waits for a worker.", nil, nil)
	backlogDesc     = prometheus.NewDesc("bellhop_archive_backlog", "Finished runs that are not in the history segments yet.", nil, nil)
	bytesDesc       = prometheus.NewDesc("bellhop_store_bytes", "Bytes on disk.", nil, nil)
	commitsDesc     = prometheus.NewDesc("bellhop_store_commits_total", "Write transactions since start.", nil, nil)
	operationsDesc  = prometheus.NewDesc("bellhop_store_operations_total", "Operations in write transactions since start.", nil, nil)
	diskTimeDesc    = prometheus.NewDesc("bellhop_store_disk_seconds_total", "Time that write transactions wrote to the disk and waited for it, since start.", nil, nil)
	subscribersDesc = prometheus.NewDesc("bellhop_event_streams", "Open event streams.", nil, nil)
	buildDesc       = prometheus.NewDesc("bellhop_build_info", "1, with the version of this build.", []string{"version"}, nil)
)

func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{startedDesc, finishedDesc, runsDesc, oldestDesc, backlogDesc, bytesDesc, commitsDesc, operationsDesc, diskTimeDesc, subscribersDesc, buildDesc} {
		ch <- d
	}
}

func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	subscribers, _ := c.s.hub.counts()
	gauge(subscribersDesc, float64(subscribers))
	gauge(buildDesc, 1, c.s.Version)
	started, finished := c.s.Engine.Counts()
	ch <- prometheus.MustNewConstMetric(startedDesc, prometheus.CounterValue, float64(started))
	for status, n := range finished {
		ch <- prometheus.MustNewConstMetric(finishedDesc, prometheus.CounterValue, float64(n), status.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // a Collector gets no context
	defer cancel()
	stats, err := c.s.Engine.Store.Stats(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(runsDesc, err)
		return
	}
	gauge(runsDesc, float64(stats.Ready), "ready")
	gauge(runsDesc, float64(stats.Claimed), "claimed")
	gauge(runsDesc, float64(stats.Parked), "parked")
	age := 0.0
	if !stats.Oldest.IsZero() {
		age = max(0, time.Since(stats.Oldest).Seconds())
	}
	gauge(oldestDesc, age)
	gauge(backlogDesc, float64(stats.Backlog))
	gauge(bytesDesc, float64(stats.Bytes))
	ch <- prometheus.MustNewConstMetric(commitsDesc, prometheus.CounterValue, float64(stats.Commits))
	ch <- prometheus.MustNewConstMetric(operationsDesc, prometheus.CounterValue, float64(stats.Ops))
	ch <- prometheus.MustNewConstMetric(diskTimeDesc, prometheus.CounterValue, stats.DiskTime.Seconds())
}
