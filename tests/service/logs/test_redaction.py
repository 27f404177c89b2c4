"""Secrets in texts."""

from __future__ import annotations

import pytest

from trio_runner.service.logs.redaction import hider

SECRET = "auth-token-0123456789"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a {SECRET} b", "a *** b"),
        (f"{SECRET}{SECRET}", "******"),
        (f"{SECRET}-longer", "***"),
        ('{"t": "quo\\"te-1234"}', '{"t": "***"}'),
        ("Authorization: BEARER  abc.def, x", "Authorization: BEARER  ***, x"),
        ("'bearer abc'", "'bearer ***'"),
        ("the bearer", "the bearer"),
        ("abc", "abc"),
    ],
)
def test_what_is_hidden(text: str, shown: str) -> None:
    assert hider([SECRET, f"{SECRET}-longer", 'quo"te-1234', "", "abc"])(text) == shown


def test_secrets_that_come_later_are_hidden_with_those_before() -> None:
    hide = hider([SECRET])
    hide.add(["another-one", "", "abc"])
    assert hide(f"{SECRET} another-one abc") == "*** *** abc"
