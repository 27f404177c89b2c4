"""What code may import and use: the language-level policy of section 4, and its settings of section 5."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from .task_desk import TaskDesk, open_desk

STATIC = "Security violations detected"
AT_RUN_TIME = "Security violation detected"
DENIED = (
    "eval exec compile open input breakpoint getattr object type vars setattr delattr hasattr dir memoryview"
    " __build_class__ globals locals license help credits copyright"
).split()


@pytest.fixture(scope="module")
def listed() -> Iterator[TaskDesk]:
    """A runner with short allow-lists, and one builtin denied."""
    with open_desk(STDLIB_ALLOW="json, math", EXTERNAL_ALLOW="attr", BUILTINS_DENY="sum") as desk:
        yield desk


@pytest.fixture(scope="module")
def transitive() -> Iterator[TaskDesk]:
    """A runner that lets an allowed package import what it needs."""
    with open_desk(EXTERNAL_ALLOW="attr,idna", ALLOW_TRANSITIVE_IMPORTS="true") as desk:
        yield desk


def findings(error: dict[str, Any]) -> list[str]:
    """The lines of a description that are findings; what comes after them says what to do."""
    return [line for line in error["description"].split("\n") if line.startswith("Line ")]


@pytest.mark.row("4", "imports: messages exact with no list, one finding per line")
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os", "Import of standard library module 'os' is disallowed. Allowed stdlib modules: none"),
        (
            "from os import path",
            "Import of standard library module 'os' is disallowed. Allowed stdlib modules: none",
        ),
        ("import numpy", "Import of external package 'numpy' is disallowed. Allowed external packages: none"),
        (
            "import trio_runner",
            "Import of external package 'trio_runner' is disallowed. Allowed external packages: none",
        ),
        ("from . import x", "Relative imports are disallowed."),
        ("from ..x import y", "Relative imports are disallowed."),
        (
            "name = 'o' + 's'\n__import__(name)",
            "Dynamic __import__() calls are not allowed for security reasons.",
        ),
        (
            "__import__('os')",
            "Import of standard library module 'os' is disallowed. Allowed stdlib modules: none",
        ),
    ],
)
def test_disallowed_imports(plain: TaskDesk, code: str, why: str) -> None:
    error = plain.error(code)
    assert error["message"] == STATIC
    assert findings(error) == [f"Line {code.count(chr(10)) + 1}: {why}"]


@pytest.mark.row("4", "imports: messages exact with lists")
@pytest.mark.parametrize(
    ("code", "head", "allowed"),
    [
        (
            "import os",
            "Import of standard library module 'os' is disallowed. Allowed stdlib modules: ",
            {"json", "math"},
        ),
        (
            "import numpy",
            "Import of external package 'numpy' is disallowed. Allowed external packages: ",
            {"attr"},
        ),
    ],
)
def test_disallowed_imports_name_the_lists(listed: TaskDesk, code: str, head: str, allowed: set[str]) -> None:
    (line,) = findings(listed.error(code))
    assert line.startswith(f"Line 1: {head}")
    assert set(line.removeprefix(f"Line 1: {head}").split(", ")) == allowed


@pytest.mark.row("4", "imports: what the lists allow can be imported, submodules too")
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("import json\nreturn json.loads('[1]')", [1]),
        ("import math as m\nreturn m.floor(1.5)", 1),
        ("from json import dumps\nreturn dumps([])", "[]"),
        ("import json.decoder\nreturn json.decoder.JSONDecoder.__name__", "JSONDecoder"),
        ("return __import__('math').ceil(0.5)", 1),
        ("def inner():\n    import math\n    return math.pi > 3\nreturn inner()", True),
    ],
)
def test_allowed_imports(listed: TaskDesk, code: str, result: object) -> None:
    assert listed.result(code) == result


@pytest.mark.row("4", "imports: an allowed module is no way to one that is not")
@pytest.mark.parametrize(
    "code", ["from json import os", "import json.os", "import math, sys", "from mathx import pi"]
)
def test_allowed_imports_open_no_others(listed: TaskDesk, code: str) -> None:
    assert listed.error(code)["message"]


@pytest.mark.row("4", "imports: checked again at import time")
@pytest.mark.parametrize(
    "code",
    [
        "load = [__import__][0]\nreturn load('o' + 's').getcwd()",
        "return [f('o' + 's') for f in [__import__]][0].getcwd()",
        "def call(f, *a):\n    return f(*a)\nreturn call(__import__, 'subprocess').run(['true'])",
    ],
)
def test_a_hidden_import_is_stopped(plain: TaskDesk, code: str) -> None:
    assert plain.error(code)["message"] in (STATIC, AT_RUN_TIME)


@pytest.mark.row("5", "N8N_RUNNERS_ALLOW_TRANSITIVE_IMPORTS: an allowed package may import what it needs")
def test_transitive_imports(transitive: TaskDesk) -> None:
    assert transitive.result("import attr\nreturn attr.asdict(attr.make_class('P', ['x'])(1))") == {"x": 1}
    assert transitive.error("import functools")["message"] == STATIC


@pytest.mark.row("5", "STDLIB_ALLOW and EXTERNAL_ALLOW `*`: all may be imported")
def test_everything_may_be_imported(free: TaskDesk) -> None:
    assert free.result("import os, json, attr, xml.dom.minidom\nreturn attr.__name__") == "attr"


@pytest.mark.row("4", "imports: a module that does not exist is an ImportError where all are allowed")
def test_a_missing_module(free: TaskDesk) -> None:
    assert (
        free.error("import there_is_no_such_module")["message"] == "No module named 'there_is_no_such_module'"
    )


@pytest.mark.row("4", "security policy: description one `Line {n}: {why}` per finding, in order")
def test_each_finding_has_its_line(plain: TaskDesk) -> None:
    error = plain.error("import os\nx = 1\nimport sys\nreturn ().__class__\n")
    assert error["message"] == STATIC
    lines = findings(error)
    assert [re.match(r"Line (\d+): \S", line).group(1) for line in lines] == ["1", "3", "4"]  # type: ignore[union-attr]
    rest = error["description"].split("\n")[len(lines) :]
    assert "N8N_RUNNERS_STDLIB_ALLOW" in rest[0], "after the findings: which setting would allow it"


@pytest.mark.row("4", "names and attributes that reach into the interpreter are refused")
@pytest.mark.parametrize(
    "expression",
    [
        "(lambda: 0).__globals__",
        "__builtins__",
        "int.__subclasses__()",
        "().__class__",
        "().__class__.__bases__",
        "int.__mro__",
        "(lambda: 0).__code__",
        "(lambda: 0).__closure__",
        "(x for x in ()).gi_frame",
        "(x for x in ()).gi_code",
        "ValueError().__traceback__",
        "ValueError().tb_frame",
        "x.f_back",
        "x.f_globals",
        "x.f_builtins",
        "x.f_locals",
        "print.__self__",
        "int.__dict__",
        "__loader__",
        "__spec__",
    ],
)
def test_interpreter_internals_are_refused(plain: TaskDesk, expression: str) -> None:
    error = plain.error(f"x = 1\nreturn {expression}")
    assert error["message"] == STATIC
    assert error["description"].startswith("Line 2: ")


@pytest.mark.row(
    "4", "… also as string constants, in str.format templates, in name-mangled form, in patterns"
)
@pytest.mark.parametrize(
    "code",
    [
        "x = '__globals__'",
        "x = {'__builtins__': 1}",
        "x = '{0.__class__}'.format(1)",
        "x = '{0.__class__.__mro__}'.format(1)",
        "x = '{a.__globals__[b]}'.format(a=print, b=1)",
        "x = print._Thing__globals__",
        "match 1:\n    case int(__class__=found):\n        return found",
        "del x.__class__",
        "x.__class__ = int",
        "for x.__code__ in (): pass",
        "class A(metaclass=x.__class__): pass",
        "def f(a=().__class__): pass",
        "x = [y.__class__ for y in ()]",
        "x = f'{().__class__}'",
        "__builtins__ = {}",
        "def __globals__(): pass",
        "from math import __loader__",
        "lambda: ().__subclasses__()",
    ],
)
def test_interpreter_internals_are_refused_in_disguise(plain: TaskDesk, code: str) -> None:
    assert plain.error(code)["message"] == STATIC


@pytest.mark.row("4", "security policy at run time → Security violation detected")
@pytest.mark.parametrize(
    "code",
    [
        "template = '{0.__cla' + 'ss__}'\nreturn template.format(1)",
        "return ('{0.__cla' + 'ss__.__mr' + 'o__}').format(1)",
        "return str.format('{0.__glo' + 'bals__}', print)",
        "return ('{x.__cla' + 'ss__}').format_map({'x': 1})",
    ],
)
def test_a_template_made_at_run_time(plain: TaskDesk, code: str) -> None:
    assert plain.error(code)["message"] in (AT_RUN_TIME, STATIC)


@pytest.mark.row(
    "4", "what is harmless is not refused: dunder methods of operators, underscores, plain templates"
)
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("return '{0} {name:>4}'.format(1, name='x')", "1    x"),
        ("_private = 1\nreturn _private", 1),
        ("return f'{3:04d}'", "0003"),
        ("__x = 2\nreturn __x", 2),
        ("return 'class and code and globals'", "class and code and globals"),
        ("text = 'a __main__ thing'\nreturn text", "a __main__ thing"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    return str(error)", "division by zero"),
        ("import_count = 1\nreturn import_count", 1),
        ("return sorted([3, 1], key=lambda n: -n)", [3, 1]),
        ("return isinstance(1, int) and len(str(1))", 1),
    ],
)
def test_harmless_code_is_not_refused(plain: TaskDesk, code: str, result: object) -> None:
    assert plain.result(code) == result


@pytest.mark.row("4", "builtins of the default deny list are absent")
def test_denied_builtins_are_absent(plain: TaskDesk) -> None:
    probes = "\n".join(
        f"try:\n    {name}\nexcept NameError as error:\n    absent.append(str(error))" for name in DENIED
    )
    assert plain.result(f"absent = []\n{probes}\nreturn absent") == [
        f"name {name!r} is not defined" for name in DENIED
    ]


@pytest.mark.row("4", "builtins of the default deny list: using one is a NameError")
def test_using_a_denied_builtin(plain: TaskDesk) -> None:
    assert plain.error("return eval('1 + 1')")["message"] == "name 'eval' is not defined"


@pytest.mark.row("4", "builtins that are not denied are there")
def test_other_builtins_are_there(plain: TaskDesk) -> None:
    names = (
        "abs all any bool bytes dict enumerate filter float frozenset int isinstance iter len list map max"
    )
    names += (
        " min next print range repr reversed round set sorted str sum tuple zip Exception ValueError KeyError"
    )
    assert plain.result(f"return len([{', '.join(names.split())}])") == len(names.split())


@pytest.mark.row("5", "N8N_RUNNERS_BUILTINS_DENY: a list of one's own")
def test_a_deny_list_of_ones_own(listed: TaskDesk) -> None:
    assert listed.error("return sum([1])")["message"] == "name 'sum' is not defined"
    assert listed.result("return eval('1 + 1')") == 2


@pytest.mark.row("5", "N8N_RUNNERS_BUILTINS_DENY empty = deny none")
def test_an_empty_deny_list(free: TaskDesk) -> None:
    code = (
        "class A:\n    x = 1\nsetattr(A, 'x', 2)\nreturn [eval('1 + 1'), type(A()).__name__, getattr(A, 'x')]"
    )
    assert free.result(code) == [2, "A", 2]


@pytest.mark.row("4", "both allow-lists `*`: no static check")
def test_no_static_check_where_all_is_allowed(free: TaskDesk) -> None:
    assert free.result("return ().__class__.__name__ + '__globals__'") == "tuple__globals__"


@pytest.mark.row("4", "the analysis is cached: the same code twice, refused or not, gives the same twice")
def test_the_same_code_again(plain: TaskDesk) -> None:
    for code in ("import os", "raise ValueError('twice')"):
        first, second = plain.error(code), plain.error(code)
        assert first == second
    assert plain.result("return 2") == plain.result("return 2") == 2
