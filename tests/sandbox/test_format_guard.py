"""The check on `str.format` at run time: it refuses what the static check cannot see, and no more."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from trio_runner.sandbox.attribute_guard import HIDDEN_NAME, AttributeGuard, guard_attributes
from trio_runner.sandbox.policy import Policy, SecurityViolation

from .running import allowing, run


def evaluate(expression: str, **names: Any) -> Any:
    """Evaluate an expression behind the guard."""
    tree = ast.parse(f"result = {expression}")
    guard_attributes(tree)
    namespace: dict[str, Any] = {HIDDEN_NAME: AttributeGuard(Policy(), __import__).look_up, **names}
    exec(compile(ast.fix_missing_locations(tree), "<test>", "exec"), namespace)
    return namespace["result"]


class Accepts:
    """Has methods of the guarded names that are not about templates."""

    def format(self, text: str) -> str:
        return f"formatted {text}"

    vformat = 7


@pytest.mark.parametrize(
    "expression",
    [
        "bad.format(1)",
        "(bad + '').format(1)",
        "bad.format",
        "bad.format_map({})",
        "str.format(bad, 1)",
        "str.format_map(bad, {})",
        "list(map(str.format, [bad], [1]))",
        "[text.format(1) for text in [bad]]",
        "(lambda text: text.format)(bad)(1)",
        "string.Formatter().format(bad, 1)",
        "string.Formatter().vformat(bad, [1], {})",
        "string.Formatter.format(string.Formatter(), bad, 1)",
        "string.Formatter().vformat(format_string=bad, args=[1], kwargs={})",
        "string.Formatter().get_field(bad[1:-1], [1], {})",
        "string.Formatter().get_field(field_name=bad[1:-1], args=[1], kwargs={})",
        "string.Formatter.get_field(string.Formatter(), bad[1:-1], [1], {})",
        "'{}'.format(bad.format(1))",
    ],
)
def test_a_computed_template_is_refused(expression: str) -> None:
    import string

    with pytest.raises(SecurityViolation, match="__class__"):
        evaluate(expression, bad="{0.__class__}", string=string)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("good.format(1, 2)", "1 2"),
        ("good.format", "{} {}".format),
        ("'{:>3}'.format(1)", "  1"),
        ("str.format(good, 1, 2)", "1 2"),
        ("'{a}'.format_map({'a': 1})", "1"),
        ("other.format('x')", "formatted x"),
        ("other.vformat", 7),
        ("format(3, '>2')", " 3"),
        ("string.Formatter().get_field('0.real', [7], {})", (7, 0)),
        ("good.format(*[1], **{'x': 2}) if 0 else len(good.format.__name__)", 6),
    ],
)
def test_everything_else_is_as_without_the_guard(expression: str, value: object) -> None:
    import string

    assert evaluate(expression, good="{} {}", other=Accepts(), string=string) == value


def test_errors_are_those_of_python() -> None:
    with pytest.raises(AttributeError, match="'int' object has no attribute 'format'"):
        evaluate("number.format(1)", number=1)
    with pytest.raises(IndexError):
        evaluate("text.format()", text="{}")


def test_a_long_sum_is_no_deep_recursion() -> None:
    terms = " + ".join(["text.format(1)"] * 400)
    assert evaluate(terms, text="{}") == "1" * 400


def test_in_a_task_it_is_a_violation_at_run_time_with_its_line() -> None:
    failure = run("t = '{0.__cl' + 'ass__}'\nx = 1\nreturn t.format(x)").failure
    assert failure["kind"] == "policy"
    assert failure["message"] == "Security violation detected"
    why, remedy = failure["description"].split("\n")
    assert why == "Line 3: Use of the attribute '__class__' in a format template is disallowed."
    assert "N8N_RUNNERS_STDLIB_ALLOW" in remedy
    assert failure["lineNumber"] == 3


def test_in_a_task_formatting_works() -> None:
    code = "import string\nt = '{}-{x}'\nreturn [t.format(1, x=2), string.Formatter().format(t, 3, x=4)]"
    assert run(code, policy=allowing("string")).result == ["1-2", "3-4"]
