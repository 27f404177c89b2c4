"""What is a ``traceparent`` and what is none."""

from __future__ import annotations

import pytest

from trio_runner.protocol.trace_context import valid_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("text", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"fe-{TRACE}-{SPAN}-ff"])
def test_good_ones_stay_as_they_are(text: str) -> None:
    assert valid_traceparent(text) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}١-{SPAN}-01",
        None,
        7,
        [f"00-{TRACE}-{SPAN}-01"],
    ],
)
def test_others_become_nothing(value: object) -> None:
    assert valid_traceparent(value) == ""
