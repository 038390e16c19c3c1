"""Traces of searches by OpenTelemetry, where the environment names an exporter (extra `otel`).

OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) sends them over OTLP/HTTP, OTEL_TRACES_EXPORTER=console
prints them, OTEL_TRACES_EXPORTER=none or OTEL_SDK_DISABLED=true leaves it; sampling, batches, headers and the service's name
are what OpenTelemetry's own variables say. Without them nothing of it is imported.

A request notes its stages as it goes (`RequestRecord.span`: a line in a list); spans are made of them when it has been
answered, so tracing stands in no search's way. The words of a search are in no span.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from xlret.errors import UserError
from xlret.serve.record import RequestRecord

_ROUTE = "/v1/search"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_INSIDE = {"shards": "search", "passages": "search", "merge": "search"}
"""Stages that are part of another."""


class SearchTraces:
    """An `Observer` that makes a trace of each search.

    Args:
        exporter: an OpenTelemetry `SpanExporter`.
        at_once: export each span when it ends, not many together (for tests).
    """

    def __init__(self, exporter: Any, *, at_once: bool = False) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "xlret"}))
        provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
        self._tracer = provider.get_tracer("xlret.serve")
        self._propagator = TraceContextTextMapPropagator()

    def __call__(self, record: RequestRecord) -> None:
        """Makes the spans of a search; other requests have none."""
        if record.route != _ROUTE or record.spans is None:
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        zero = time.time_ns() - round(1e9 * time.monotonic())  # of the clock that spans are measured by
        given = (("traceparent", record.traceparent), ("tracestate", record.tracestate))
        parent = self._propagator.extract({name: value for name, value in given if value})
        root = self._tracer.start_span(
            f"{record.method} {_ROUTE}",
            context=parent,
            kind=SpanKind.SERVER,
            start_time=zero + _ns(record.arrived),
            attributes=_about(record),
        )
        if record.status >= 500:
            root.set_status(Status(StatusCode.ERROR, record.error or ""))
        contexts = {"": set_span_in_context(root)}
        for stage in sorted(record.spans, key=lambda stage: stage.name in _INSIDE):  # what holds others first
            span = self._tracer.start_span(
                stage.name,
                context=contexts.get(_INSIDE.get(stage.name, ""), contexts[""]),
                start_time=zero + _ns(stage.began),
                attributes=stage.attributes,
            )
            contexts.setdefault(stage.name, set_span_in_context(span))
            if stage.attributes.get("failed"):
                span.set_status(Status(StatusCode.ERROR))
            span.end(end_time=zero + _ns(stage.ended))
        root.end(end_time=zero + _ns(record.arrived + record.ms / 1000))


def traces_from(environment: Mapping[str, str] = os.environ) -> SearchTraces | None:
    """What makes traces, as OpenTelemetry's variables of the environment say; None where they ask for none.

    Raises:
        UserError: OTEL_TRACES_EXPORTER names something else than otlp, console or none, or a package is missing.
    """
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    wanted = named or ("otlp" if any(environment.get(name) for name in _ENDPOINTS) else "none")
    if wanted == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    try:
        if wanted == "console":
            from opentelemetry.sdk.trace.export import ConsoleSpanExporter

            return SearchTraces(ConsoleSpanExporter())
        if wanted == "otlp":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return SearchTraces(OTLPSpanExporter())
    except ImportError as error:
        raise UserError(f"the environment asks for traces, which need an extra: pip install 'xlret[otel]' ({error})") from error
    raise UserError(f"OTEL_TRACES_EXPORTER is {wanted!r:.40}; allowed are otlp (over HTTP), console and none")


def _about(record: RequestRecord) -> dict[str, str | int]:
    about: dict[str, str | int] = {
        "http.request.method": record.method,
        "http.route": _ROUTE,
        "http.response.status_code": record.status,
        "xlret.request_id": record.request_id,
        "xlret.questions": record.texts,
        "xlret.hits": sum(record.hits.values()),
        "xlret.shards.failed": record.shards_failed,
    }
    return about | ({"xlret.release": record.release} if record.release else {})


def _ns(seconds: float) -> int:
    return round(1e9 * seconds)
