"""The snapshot of a daemon as JSON: nothing is lost on the way, and what is newer is tolerated."""

from __future__ import annotations

import json

import attrs
import pytest

from trio_runner import __version__
from trio_runner.runner.statistics import RunnerStatistics
from trio_runner.service.status.document import Document, LoopStatistics, decode, encode

from .samples import broker, runner


def test_a_runner_survives_the_way() -> None:
    document = Document(runner=runner(), loop=LoopStatistics(lag=0.001, worst=0.2, checked=0.5))
    assert decode(encode(document)) == document
    assert decode(encode(document)).kind == "runner"


def test_a_broker_survives_the_way() -> None:
    document = Document(broker=broker(), url="http://127.0.0.1:5679")
    assert decode(encode(document)) == document
    assert document.kind == "broker"


def test_it_reads_well_by_other_programs() -> None:
    told = json.loads(encode(Document(runner=runner())))
    assert told["version"] == __version__
    assert told["runner"]["phase"] == "serving"
    assert told["runner"]["brokers"][0]["state"] == "registered"
    assert told["runner"]["ledger"]["slots"] == 2
    assert set(told["runner"]) == {field.name for field in attrs.fields(RunnerStatistics)}


def test_a_newer_daemon_may_tell_more() -> None:
    told = json.loads(encode(Document(runner=runner())))
    told["weather"] = told["runner"]["weather"] = {"sunny": True}
    assert decode(json.dumps(told).encode()).runner == runner()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"version": 7}', b"\xff", b'{"runner": {}}'])
def test_anything_else_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the status of a trio-runner daemon of this version"):
        decode(data)
