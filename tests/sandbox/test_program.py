"""From text to something that can be called: the code keeps its lines, strings and names."""

from __future__ import annotations

import warnings
from types import CodeType

import pytest

from trio_runner.sandbox.program import call_program, compile_program, parse_code
from trio_runner.sandbox.report import Failure, TaskFailed


def program(code: str) -> CodeType:
    return compile_program(parse_code(code), code, guarded=True)


def outcome(code: str, **inputs: object) -> object:
    import builtins

    return call_program(program(code), dict(vars(builtins)), inputs)


def refusal(code: str) -> Failure:
    with pytest.raises(TaskFailed) as caught:
        program(code)
    return caught.value.failure


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("return 1", 1),
        ("", None),
        ("# only a comment", None),
        ("   \n\n\t\n", None),
        ("pass", None),
        ("x = 1\r\nif x:\r\n\treturn 'crlf'\r\n", "crlf"),
        ("if 1:\n\treturn 'tab'", "tab"),
        ("\x0creturn 'form feed'", "form feed"),
        ("return '''a\n  b\n'''", "a\n  b\n"),
        ("'doc'\nreturn 2", 2),
        ("x = 5\ndef bump():\n    nonlocal x\n    x += 1\nbump()\nreturn x", 6),
        ("k = 2\nreturn [k * n for n in range(3)]", [0, 2, 4]),
        ("f = lambda n: n and n + f(n - 1)\nreturn f(4)", 10),
        ("class A:\n    def f(self): return A\nreturn A().f() is A", True),
        ("def numbers():\n    yield 1\nreturn list(numbers())", [1]),
        ("return sum(n for n in [1, 2])", 3),
        ("return (lambda: (yield))().__next__()", None),
        ("global shared\nshared = 1\ndef f(): return shared\nreturn f()", 1),
        ("return __name__", "__main__"),
        ("import math\nreturn math.floor(1.5)", 1),
        ("match {'a': 1}:\n    case {'a': n}: return n", 1),
        ("async def f(): return await g()\nreturn f.__name__", "f"),
        ("# -*- coding: latin-1 -*-\nreturn 'é'", "é"),
    ],
)
def test_code_is_the_body_of_a_function(code: str, result: object) -> None:
    assert outcome(code) == result


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("_items = [n for n in _items if n > 1]\nreturn _items", [2]),
        ("def f():\n    return _items\n_items = 7\nreturn f()", 7),
        ("def f(_items): return _items\nreturn f(3)", 3),
        ("def f():\n    global _items\n    _items = 4\nf()\nreturn _items", 4),
        ("for _items in [8]: pass\nreturn _items", 8),
        ("_items: list = [9]\nreturn _items", [9]),
        ("del _items\ntry:\n    _items\nexcept NameError: return 'gone'", "gone"),
        ("global _items\nreturn _items", [1, 2]),
        ("return [_items for _items in [1]] + _items", [1, 1, 2]),
    ],
)
def test_inputs_may_be_assigned(code: str, result: object) -> None:
    assert outcome(code, _items=[1, 2]) == result


def test_each_call_has_a_namespace_of_its_own() -> None:
    code = "global count\ntry:\n    count += 1\nexcept NameError:\n    count = 1\nreturn count"
    once = program(code)
    import builtins

    assert [call_program(once, dict(vars(builtins)), {}) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (
            "from __future__ import annotations\ndef f(x: nothing): pass\nreturn f.__annotations__",
            {"x": "nothing"},
        ),
        ("'doc'\nfrom __future__ import annotations\nreturn 1", 1),
        ("from __future__ import annotations", None),
        ("def f(x: int): pass\nreturn f.__annotations__", {"x": int}),
    ],
)
def test_future_imports_take_effect(code: str, result: object) -> None:
    assert outcome(code) == result


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        ("x = 1\nif x\n    return 2", "expected ':'", 2),
        ("x = 1\n\n\nreturn (", "'(' was never closed", 4),
        ("return 1\n  y = 2", "unexpected indent", 2),
        ("if 1:\nreturn 2", "expected an indented block", 2),
        ("if 1:\n\tx\n        y", "inconsistent use of tabs", 3),
        ("x = 1\nnonlocal y", "no binding for nonlocal 'y' found", 2),
        ("\n\nbreak", "'break' outside loop", 3),
        ("x\nawait y", "'await' outside async function", 2),
        ("x\nasync with y: pass", "'async with' outside async function", 2),
        ("class A:\n    return 1", "'return' outside function", 2),
        ("x\nfrom math import *", "import * only allowed at module level", 2),
        ("from __future__ import braces", "not a chance", 1),
        ("from __future__ import nonsense", "future feature nonsense is not defined", 1),
        ("x\nfrom __future__ import annotations", "from __future__ imports must occur at the beginning", 2),
        ("x\nyield 1", "'yield' outside a function of its own", 2),
        ("x\nif 1:\n    y = [(yield from z)]", "'yield' outside a function of its own", 3),
        ("x\ndef f(a=(yield)): pass", "'yield' outside a function of its own", 2),
        ("x\n1 = 2", "cannot assign to literal", 2),
        ("x\ny = 'a\0b'", "source code contains a null byte", 2),
        ("x\ny = '\ud83d'", "source code contains half of a surrogate pair (\\ud83d)", 2),
    ],
)
def test_code_that_is_not_python(code: str, message: str, line: int) -> None:
    failure = refusal(code)
    assert failure.kind == "user-code"
    assert message in failure.message
    assert failure.message.endswith(f" (line {line})")
    assert f"in line {line}:\n    " in failure.description
    assert failure.line_number == line


def test_the_place_is_shown_with_a_caret() -> None:
    failure = refusal("if 1:\n    return 2 +* 3")
    assert failure.description == "SyntaxError in line 2:\n    return 2 +* 3\n              ^"


@pytest.mark.parametrize("code", ["(" * 1000 + ")" * 1000, "-" * 5000 + "1", "x" + ".y" * 8000])
def test_code_that_is_nested_too_deeply(code: str) -> None:
    failure = refusal(code)
    assert failure.kind == "user-code"
    assert "too" in failure.message


def test_a_long_sum_is_no_deep_nesting() -> None:
    assert outcome("return " + " + ".join(["1"] * 900)) == 900


def test_warnings_of_the_compiler_are_not_the_persons() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert outcome("x = 1\nreturn ['\\d', x is 1][0]") == "\\d"


def test_our_own_future_imports_do_not_reach_the_code() -> None:
    assert outcome("def f(x: 1 + 1): pass\nreturn f.__annotations__") == {"x": 2}
