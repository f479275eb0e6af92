package service

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// observers are told one after the other.
type observers []gate.Observer

func (all observers) Checked(u gate.Upload, o gate.Outcome) {
	for _, one := range all {
		one.Checked(u, o)
	}
}

func (s *Service) observer() gate.Observer {
	all := observers{s.metrics, &s.effects}
	if s.tracer != nil {
		all = append(all, s.tracer)
	}
	return all
}

// tracer sends a trace of a share of the uploads: one span for the upload, and one for each stage within. It tells item
// IDs, surfaces and actions; no hash, no name, no entry of a list. What the collector cannot take in time is dropped.
type tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

func newTracer(ctx context.Context, c *config.Traces, version string) (*tracer, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Endpoint), otlptracehttp.WithTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	share := 1.0
	if c.Percent > 0 {
		share = float64(c.Percent) / 100
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter, sdk.WithBatchTimeout(2*time.Second), sdk.WithMaxQueueSize(2048)),
		sdk.WithSampler(sdk.TraceIDRatioBased(share)),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "hashmatch"), attribute.String("service.version", version))),
	)
	return &tracer{provider, provider.Tracer("example.org/hashmatch")}, nil
}

// close sends what is waiting, for a few seconds at most.
func (t *tracer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // traces that are lost harm nobody
}

// Checked traces one upload. Stages are laid out one after the other, although decoding and hashing take turns.
func (t *tracer) Checked(u gate.Upload, o gate.Outcome) {
	ended := time.Now()
	at := ended.Add(-o.Took)
	ctx, span := t.tracer.Start(context.Background(), "upload", trace.WithTimestamp(at), trace.WithSpanKind(trace.SpanKindServer))
	defer func() { span.End(trace.WithTimestamp(ended)) }()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("hashmatch.item", o.Verdict.Item), attribute.String("hashmatch.surface", u.Surface.Name()),
		attribute.String("hashmatch.dialect", u.Dialect), attribute.String("hashmatch.action", o.Action.String()),
		attribute.String("hashmatch.verdict", o.Verdict.Action.String()),
	)
	times := o.Verdict.Timings
	for _, stage := range []struct {
		name string
		took time.Duration
	}{{"wait", o.Waited}, {"read", times.Read}, {"decode", times.Decode}, {"hash", times.Hash}, {"search", times.Search}} {
		if stage.took <= 0 {
			continue
		}
		_, inner := t.tracer.Start(ctx, stage.name, trace.WithTimestamp(at))
		at = at.Add(stage.took)
		inner.End(trace.WithTimestamp(at))
	}
}
