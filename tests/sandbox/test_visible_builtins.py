"""The builtins of the person's code."""

from __future__ import annotations

import builtins

import pytest

from trio_runner.sandbox.policy import DEFAULT_BUILTINS_DENY, Policy
from trio_runner.sandbox.visible_builtins import denied_builtin_hint, visible_builtins

from .running import FREE, allowing, run


def own_print(*values: object) -> None:
    """Stand for the print of the console."""


def test_denied_builtins_are_absent_and_the_others_there() -> None:
    visible = visible_builtins(Policy(), own_print)
    assert not DEFAULT_BUILTINS_DENY & set(visible)
    changed = {"print", "__import__"}
    for name in set(vars(builtins)) - DEFAULT_BUILTINS_DENY - changed:
        assert visible[name] is getattr(builtins, name)
    assert visible["print"] is own_print
    assert visible["__import__"] is not builtins.__import__


def test_any_builtin_can_be_denied() -> None:
    visible = visible_builtins(
        Policy(builtins_deny=frozenset({"print", "__import__", "nonsense"})), own_print
    )
    assert "print" not in visible
    assert "__import__" not in visible
    assert "eval" in visible


@pytest.mark.parametrize("name", sorted(DEFAULT_BUILTINS_DENY - {"__build_class__"}))
def test_using_a_denied_one_says_which_setting_denies_it(name: str) -> None:
    failure = run(f"x = 1\nreturn {name}('a')").failure
    assert failure["kind"] == "user-code"
    assert failure["message"] == f"name '{name}' is not defined"
    assert failure["description"].startswith(f"NameError in line 2: return {name}('a')\n")
    assert f"The builtin '{name}' is denied" in failure["description"]
    assert "N8N_RUNNERS_BUILTINS_DENY" in failure["description"]


def test_a_class_without_a_static_check_says_so_too() -> None:
    policy = Policy(stdlib_allow=frozenset("*"), external_allow=frozenset("*"))
    failure = run("class A:\n    pass", policy=policy).failure
    assert "__build_class__" in failure["message"]
    assert "N8N_RUNNERS_BUILTINS_DENY" in failure["description"]


def test_an_import_without_import_says_so_too() -> None:
    policy = Policy(stdlib_allow=frozenset({"json"}), builtins_deny=frozenset({"__import__"}))
    assert "The builtin '__import__' is denied" in run("import json", policy=policy).failure["description"]


@pytest.mark.parametrize(
    "error",
    [
        NameError("x"),
        NameError(3),
        NameError("name", name="mine"),
        ImportError("no"),
        ValueError("eval"),
        NameError(),
    ],
)
def test_other_errors_get_no_hint(error: BaseException) -> None:
    assert denied_builtin_hint(error, Policy()) == ""


def test_code_may_use_the_name_for_itself() -> None:
    assert run("type = 'a'\nobject = [type]\nreturn object").result == ["a"]


@pytest.mark.parametrize(
    "code", ["import builtins\nreturn builtins.open", "from builtins import open\nreturn open"]
)
def test_the_module_builtins_is_no_way_around(code: str) -> None:
    assert "open" in run(code, policy=allowing("builtins")).failure["message"]


def test_nothing_is_denied_where_the_list_is_empty() -> None:
    code = "class A:\n    x = 1\nreturn [eval('1 + 1'), type(A()).__name__, getattr(A, 'x'), vars()['A'].x]"
    assert run(code, policy=FREE).result == [2, "A", 1, 1]
