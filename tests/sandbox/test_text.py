"""Text and JSON on their way out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_runner.sandbox.text import cut, json_bytes, json_writer, source_lines, text_of, type_name

ANY_TEXT = st.text(st.characters())


class Hostile:
    """Its str() raises."""

    def __str__(self) -> str:
        raise ValueError("mute")


class Nameless(type):
    """A metaclass under which a class has no name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise ValueError("nameless")


class Anonymous(metaclass=Nameless):
    """A class without a name."""


def test_short_text_is_not_cut() -> None:
    assert cut("abc", 3) == "abc"


def test_a_cut_says_how_much_is_missing() -> None:
    assert cut("abcdef", 4) == "abcd… 2 more characters"


@settings(deadline=None)
@given(ANY_TEXT, st.integers(0, 20))
def test_a_cut_keeps_the_beginning(text: str, limit: int) -> None:
    assert cut(text, limit).startswith(text[:limit])
    assert cut(text, limit) == text or len(text) > limit


def test_text_stays_as_it_is() -> None:
    assert json_bytes("Grüße 👋") == '"Grüße 👋"'.encode()


def test_half_a_surrogate_pair_becomes_its_escape() -> None:
    assert json_bytes({"cut": "a\ud83d\\\udc00"}) == b'{"cut": "a\\ud83d\\\\\\udc00"}'


@settings(deadline=None)
@given(
    st.recursive(
        ANY_TEXT | st.integers() | st.none(), lambda inner: st.dictionaries(ANY_TEXT, inner), max_leaves=6
    )
)
def test_json_is_utf_8_and_comes_back(value: object) -> None:
    assert json.loads(json_bytes(value).decode("utf-8")) == value


@pytest.mark.parametrize(("value", "name"), [(1, "int"), (Hostile(), "Hostile"), (Anonymous(), "object")])
def test_a_type_has_a_name(value: object, name: str) -> None:
    assert type_name(value) == name


def test_a_hostile_str_is_noted() -> None:
    assert text_of(Hostile()) == "[Hostile whose str() raised ValueError]"
    assert text_of(1.5) == "1.5"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("", [""]),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\rc", ["a", "b", "c"]),
        ("a\x0cb\u2028c\x1cd", ["a\x0cb\u2028c\x1cd"]),
    ],
)
def test_lines_are_the_parsers(code: str, lines: list[str]) -> None:
    assert source_lines(code) == lines


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT | st.integers(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_the_writer_writes_what_json_does(value: object) -> None:
    assert json_writer()(value) == json.dumps(value, ensure_ascii=False)
    tight = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert json_writer(str, tight=True)(value) == tight


def test_the_writer_refuses_what_json_refuses() -> None:
    circle: list[object] = []
    circle.append(circle)
    for value, error in ((circle, ValueError), ({1, 2}, TypeError), ({(1,): 2}, TypeError)):
        with pytest.raises(error):
            json_writer()(value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_writer(allow_nan=False)(float("nan"))
    assert json_writer(str)([{1}, circle is None]) == '["{1}", false]'


def test_the_writer_keeps_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    write = json_writer(str, tight=True)
    for name in ("c_make_encoder", "encode_basestring", "JSONEncoder"):
        monkeypatch.setattr(json.encoder, name, None)
    monkeypatch.setattr(json, "JSONEncoder", None)
    assert write({"a": ["x", 1.5, None]}) == '{"a":["x",1.5,null]}'


def test_the_writer_without_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    assert json_writer(str, tight=True)({"a": [{1}, "é"]}) == '{"a":["{1}","é"]}'
