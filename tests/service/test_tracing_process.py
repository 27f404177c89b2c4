"""The span of a task, from the daemon to a collector."""

from __future__ import annotations

import signal
from functools import partial

import h11
import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .daemon.daemon_process import open_daemon
from .daemon.scripted_broker import AUTH_TOKEN, open_scripted_broker

pytestmark = pytest.mark.process

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def collect(received: list[tuple[h11.Request, bytes]], stream: trio.SocketStream) -> None:
    """Answer one request, and keep it."""
    connection, request, body = h11.Connection(h11.SERVER), None, b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
    assert request is not None
    received.append((request, body))
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def test_a_task_becomes_a_span_at_the_collector() -> None:
    received: list[tuple[h11.Request, bytes]] = []
    async with trio.open_nursery() as nursery, open_scripted_broker() as broker:
        listeners = await nursery.start(
            partial(trio.serve_tcp, partial(collect, received), 0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        settings = {
            "N8N_RUNNERS_AUTH_TOKEN": AUTH_TOKEN,
            "N8N_RUNNERS_TASK_BROKER_URI": broker.url,
            "N8N_BLOCK_RUNNER_ENV_ACCESS": "false",
            "N8N_RUNNERS_STDLIB_ALLOW": "os",
            "OTEL_EXPORTER_OTLP_HEADERS": "Api-Key=collector%20key-1",
            "TRIO_RUNNER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        async with open_daemon("run", environment=settings) as daemon:
            session = await broker.session()
            code = "import os\nraise ValueError('my text ' + str(dict(os.environ)))"
            await session.start(code, traceparent=f"00-{TRACE}-{SPAN}-01", workflowId="w1", nodeName="Clean")
            await daemon.line("Task failed: my text")
            assert "collector%20key-1" not in daemon.all
            daemon.process.send_signal(signal.SIGTERM)
            assert await daemon.ended() == 0
            assert "Traces" not in daemon.all
        nursery.cancel_scope.cancel()
    ((request, body),) = received
    assert (request.method, request.target) == (b"POST", b"/v1/traces")
    headers = dict(request.headers)
    assert (headers[b"content-type"], headers[b"api-key"]) == (b"application/x-protobuf", b"collector key-1")
    assert b"my text" not in body
    (span,) = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert [event.name for event in span.events] == ["accepted", "settings", "started"]
    assert span.events[2].time_unix_nano >= span.events[1].time_unix_nano
    about = {attribute.key: attribute.value.string_value for attribute in span.attributes}
    assert (about["trio_runner.outcome"], about["trio_runner.workflow.id"]) == ("user-code", "w1")
