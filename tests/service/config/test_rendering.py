"""The table for a terminal of 80 columns."""

from __future__ import annotations

import io

from trio_runner.service.config.effective import effective
from trio_runner.service.config.rendering import show_table
from trio_runner.service.terminal import PersonConsole

LONG = ",".join(f"module_{number}" for number in range(40))


def test_it_fits_and_loses_nothing() -> None:
    environ = {
        "XDG_CONFIG_HOME": "/nonexistent",
        "N8N_RUNNERS_AUTH_TOKEN": "s3cret-token",
        "N8N_RUNNERS_EXTERNAL_ALLOW": LONG,
    }
    stream = io.StringIO()
    show_table(effective("run", {}, environ), PersonConsole(file=stream, width=80, highlight=False))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines[1:])) <= 80
    text = "".join("".join(lines).split())
    assert text.count(",") >= LONG.count(","), "folded, not cut"
    assert "s3cret" not in text
    for word in ("Connection", "auth-token", "***", "N8N_RUNNERS_AUTH_TOKEN", "max-concurrency"):
        assert word in text
