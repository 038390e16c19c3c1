"""A search as a trace: its stages inside the client's trace, nobody's words in it, and nothing of it where nobody asks."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from asking import in_house, search
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from stand_in import House

from xlret.errors import UserError
from xlret.serve.http import app
from xlret.serve.tracing import SearchTraces, traces_from

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(app, "traces_from", lambda: SearchTraces(exporter, at_once=True))
    return exporter


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def test_a_search_is_a_trace_inside_the_clients(exporter: InMemorySpanExporter) -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        body = {"query": "Where is the Katze ?", "top_k": 100, "rerank": True}  # more hits than come along with their texts
        assert (await client.post("/v1/search", json=body, headers=HEADERS)).status_code == 200
        await client.get("/v1/info", headers=HEADERS)
        await client.get("/healthz")

    in_house(test, groups=2, shards=4)
    spans = exporter.get_finished_spans()
    [root] = named(spans, "POST /v1/search")
    assert root.kind is SpanKind.SERVER
    assert root.parent is not None
    assert (f"{root.context.trace_id:032x}", f"{root.parent.span_id:016x}") == (TRACE, CALLER)
    about = dict(root.attributes or {})
    assert (about["http.response.status_code"], about["xlret.questions"], about["xlret.release"]) == (200, 1, "red")
    assert root.resource.attributes["service.name"] == "xlret"
    assert {span.context.trace_id for span in spans} == {root.context.trace_id}, "other requests have no trace"
    parents = {span.name: span.parent.span_id for span in spans if span is not root and span.parent}
    [whole] = named(spans, "search")
    inside = {"parse", "encode", "search", "rerank", "highlight"}
    assert {parents[name] for name in inside} == {root.context.span_id}
    assert {parents[name] for name in ("shards", "merge", "passages")} == {whole.context.span_id}
    groups = named(spans, "shards")
    assert sorted(str((span.attributes or {})["shards"]) for span in groups) == ["0,2", "1,3"]
    for span in spans:
        assert span.start_time
        assert span.end_time
        assert root.start_time <= span.start_time <= span.end_time <= root.end_time  # type: ignore[operator]
        assert "Katze" not in span.to_json()


def test_a_failed_search_and_a_client_without_a_trace(exporter: InMemorySpanExporter) -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        await search(client, query="dog")
        house.encoder.trouble.error = RuntimeError("out of memory")
        answer = await client.post("/v1/search", json={"query": "cat"}, headers={"traceparent": "nonsense"})
        assert answer.status_code == 503

    in_house(test)
    first, second = named(exporter.get_finished_spans(), "POST /v1/search")
    assert first.parent is None and second.parent is None  # noqa: PT018
    assert first.context.trace_id != second.context.trace_id
    assert (first.status.status_code, second.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)


def test_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet: list[dict[str, str]] = [{}, {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}]
    quiet += [{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"}]
    assert [traces_from(environment) for environment in quiet] == [None] * 3
    with pytest.raises(UserError, match="OTEL_TRACES_EXPORTER is 'zipkin'; allowed are otlp"):
        traces_from({"OTEL_TRACES_EXPORTER": "zipkin"})
    assert isinstance(traces_from({"OTEL_TRACES_EXPORTER": "console"}), SearchTraces)
    modules: dict[str, Any] = {"opentelemetry.exporter.otlp.proto.http.trace_exporter": None}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(UserError, match=r"pip install 'xlret\[otel\]'"):
        traces_from({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_without_it_nothing_of_it_is_imported() -> None:
    code = "import sys, xlret.serve.tracing as t; t.traces_from({}); print([m for m in sys.modules if 'opentelemetry' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
