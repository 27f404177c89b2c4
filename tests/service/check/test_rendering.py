"""What a person reads, in 80 columns, and what a program does."""

from __future__ import annotations

import io
import json

from trio_runner.service.check.findings import Finding, Status
from trio_runner.service.check.rendering import FindingsWriter, as_json
from trio_runner.service.terminal import PersonConsole

FINDINGS = [
    Finding("broker http://a", "name resolves", Status.OK, "127.0.0.1", seconds=0.0012),
    Finding("broker http://a", "port open", Status.FAILED, "refused " * 20, "start \x1b[31mit"),
    Finding("broker http://a", "auth token", Status.SKIPPED, "not tried"),
    Finding("tasks", "import a_module_with_a_long_name", Status.WARNING, "slow", seconds=2.5),
]


def test_for_people() -> None:
    stream = io.StringIO()
    writer = FindingsWriter(PersonConsole(file=stream, width=200, highlight=False))
    for finding in FINDINGS:
        writer.write(finding)
    writer.close()
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "broker http://a"
    assert lines[1] == "  ok    name resolves       127.0.0.1 (1.2 ms)"
    assert lines[2].startswith("  FAIL  port open           refused refused")
    assert "                            -> start \\x1b[31mit" in lines, "nothing steers the terminal"
    assert "  skip  auth token          not tried" in lines
    assert "  WARN  import a_module_with_a_long_name" in lines
    assert "                            slow (2.5 s)" in lines
    assert lines[-1] == "1 ok, 1 warnings, 1 failed, 1 skipped"


def test_for_programs() -> None:
    document = json.loads(as_json(FINDINGS))
    assert document["ok"] is False
    assert document["checks"][0] == {
        "subject": "broker http://a",
        "step": "name resolves",
        "status": "ok",
        "detail": "127.0.0.1",
        "remedy": "",
        "seconds": 0.0012,
    }
    assert json.loads(as_json(FINDINGS[:1]))["ok"] is True
