"""How lines are written for people."""

from __future__ import annotations

from trio_runner.service.logs.formats import human_format, pairs


def line(message: str, **about: object) -> str:
    return human_format(colour=False)("info", message, about, "")


def test_long_texts_are_cut() -> None:
    assert line("x" * 10_000).endswith("x… (6000 more characters)")


def test_text_that_is_not_ascii_stays_readable() -> None:
    assert line("größer → 東京").endswith(" INFO    größer → 東京")


def test_values_are_short_and_in_quotes_only_where_needed() -> None:
    about = {
        "a": 1.5,
        "b": 2.0,
        "c": 0.00049,
        "d": 'x "y"',
        "e": "",
        "f": "k=v",
        "g": "back\\slash",
        "h": None,
    }
    assert pairs(about) == (' a=1.5 b=2 c=0 d="x \\"y\\"" e="" f="k=v" g=back\\slash h=None')
