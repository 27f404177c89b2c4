"""Names that reach into the interpreter, in every form in which they can stand in code."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_runner.sandbox.denied_names import (
    FRAME_NAMES,
    INTERPRETER_NAMES,
    denied_identifier,
    denied_in_template,
    denied_in_text,
)

DENIED = st.sampled_from(sorted(INTERPRETER_NAMES | FRAME_NAMES))
IDENTIFIER = st.from_regex(r"[a-z]\w{0,5}", fullmatch=True).filter(lambda name: name not in FRAME_NAMES)


@pytest.mark.parametrize(
    "name", ["__name__", "__doc__", "__init__", "__version__", "__x", "_", "f_x", "json"]
)
def test_harmless_names_pass(name: str) -> None:
    assert denied_identifier(name, attribute=True) is None


@settings(deadline=None)
@given(DENIED)
def test_denied_names_are_denied_as_attributes(name: str) -> None:
    assert denied_identifier(name, attribute=True) == name


@pytest.mark.parametrize("name", sorted(FRAME_NAMES))
def test_frame_attributes_are_harmless_as_variables(name: str) -> None:
    assert denied_identifier(name, attribute=False) is None


@settings(deadline=None)
@given(IDENTIFIER, st.sampled_from(sorted(INTERPRETER_NAMES)))
def test_the_mangled_form_is_the_same_name(cls: str, name: str) -> None:
    assert denied_identifier(f"_{cls}{name}", attribute=False) == name


@settings(deadline=None)
@given(DENIED, IDENTIFIER)
def test_a_string_with_the_name_or_a_path_through_it_is_denied(name: str, other: str) -> None:
    assert denied_in_text(name) == name
    assert denied_in_text(f" {name} ") == name
    assert denied_in_text(f"{other}.{name}") == name
    assert denied_in_text(f"{name}.{other}") == name


@settings(deadline=None)
@given(DENIED, IDENTIFIER, st.sampled_from(["", "!r", ":>10", ":{width}"]))
def test_a_template_through_the_name_is_denied(name: str, other: str, rest: str) -> None:
    for field in (f"0.{name}", f"{other}.{name}", f"{other}[0].{name}.{other}", f"0[{name}]", f".{name}"):
        assert denied_in_text(f"Say {{{field}{rest}}} here") == name
        assert denied_in_template(f"{{x:{{{field}}}}}") == name


@settings(deadline=None)
@given(DENIED)
def test_prose_may_mention_the_name(name: str) -> None:
    for text in (
        f"see {name} of the object",
        f"{name}!",
        f"path/{name}.py",
        f'{{"{name}": 1}}',
        f"{{{{{name}}}}} stays",
        f"{name}{{",
        f"}}{{0.{name}}}",
    ):
        assert denied_in_text(text) is None, text


@pytest.mark.parametrize(
    "text",
    [
        "__init__.py",
        "my_table",
        "__main__",
        "a.b.c",
        "{0.name}",
        "{}",
        "{__name__}",
        "row {row[f]}",
        "{",
        "{a.__doc__}",
    ],
)
def test_ordinary_strings_pass(text: str) -> None:
    assert denied_in_text(text) is None


@settings(deadline=None)
@given(st.sampled_from(sorted(FRAME_NAMES)))
def test_frame_attributes_may_be_keys(name: str) -> None:
    assert denied_in_text(name, key=True) is None
    assert denied_in_text(name) == name


@settings(deadline=None)
@given(st.sampled_from(sorted(INTERPRETER_NAMES)))
def test_interpreter_names_may_not_be_keys(name: str) -> None:
    assert denied_in_text(name, key=True) == name


@settings(deadline=None)
@given(st.text())
def test_no_text_is_too_odd_to_judge(text: str) -> None:
    assert denied_in_text(text) is None or "_" in text
