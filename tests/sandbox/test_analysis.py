"""The static check."""

from __future__ import annotations

import ast
import json
import keyword
import os
import types

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio_runner.sandbox.analysis import DYNAMIC_IMPORT, RELATIVE_IMPORT, analyse, digest, leaked_module
from trio_runner.sandbox.policy import Policy
from trio_runner.sandbox.program import compile_program, parse_code
from trio_runner.sandbox.report import TaskFailed

from .running import CLASSES, allowing

NO_OS = "Import of standard library module 'os' is disallowed. Allowed stdlib modules: none"


def findings(code: str, policy: Policy | None = None) -> list[tuple[int, str]]:
    return analyse(ast.parse(code), policy or Policy())


def reasons(code: str, policy: Policy | None = None) -> list[str]:
    return [why for _line, why in findings(code, policy)]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os", NO_OS),
        ("import os as harmless", NO_OS),
        ("from os import path", NO_OS),
        ("if 0:\n  def f():\n    import os", NO_OS),
        ("__import__('os')", NO_OS),
        ("__import__(name='os')", NO_OS),
        ("from . import x", RELATIVE_IMPORT),
        ("from ..os import x", RELATIVE_IMPORT),
        ("__import__('o' + 's')", DYNAMIC_IMPORT),
        ("__import__(*['os'])", DYNAMIC_IMPORT),
        ("__import__()", DYNAMIC_IMPORT),
        ("__import__(b'os')", DYNAMIC_IMPORT),
        ("load = __import__", DYNAMIC_IMPORT),
        ("f(__import__)", DYNAMIC_IMPORT),
        ("__import__ = 1", DYNAMIC_IMPORT),
    ],
)
def test_refused_imports(code: str, why: str) -> None:
    assert reasons(code) == [why]


def test_each_module_of_a_statement_is_judged() -> None:
    assert [line for line, _why in findings("import os, sys\nimport json", allowing("sys"))] == [1, 2]


@pytest.mark.parametrize(
    "code",
    [
        "import os",
        "import os.path as p, os",
        "from os.path import join",
        "import os\nos.path.join('a')",
        "from os import path",
        "__import__('os').getcwd()",
        "__import__(name='os')",
        "from __future__ import annotations",
    ],
)
def test_allowed_imports(code: str) -> None:
    assert findings(code, allowing("os")) == []


@pytest.mark.parametrize(
    "code",
    [
        "import json\njson.codecs.open('x')",
        "import json as j\nx = j.codecs",
        "import json.decoder\njson.decoder.scanner.re.compile",
        "from json import codecs",
        "from json import decoder as d\nd.scanner.re",
    ],
)
def test_an_allowed_module_is_no_way_to_another(code: str) -> None:
    (why,) = reasons(code, allowing("json"))
    assert why.endswith("is disallowed. Allowed stdlib modules: json")


def test_a_name_that_is_no_module_leads_nowhere() -> None:
    assert findings("json = 1\njson.codecs", allowing("json")) == []
    assert findings("import not_here\nnot_here.os", Policy(external_allow=frozenset({"not_here"}))) == []


def test_a_leak_is_a_foreign_standard_module() -> None:
    policy = allowing("json", "os")
    assert leaked_module(json, "codecs", policy) == "codecs"
    assert leaked_module(json, "decoder", policy) is None
    assert leaked_module(json, "loads", policy) is None
    assert leaked_module(os, "path", policy) is None
    assert leaked_module(os, "sys", policy) == "sys"
    assert leaked_module(os, "sys", allowing("os", "sys")) is None
    assert leaked_module(None, "sys", policy) is None
    outside = types.ModuleType("outside")
    vars(outside).update(other=types.ModuleType("other"), sys=os)
    assert leaked_module(outside, "other", policy) is None


@pytest.mark.parametrize(
    "code",
    [
        "x.__globals__",
        "x.__class__ = y",
        "del x.__dict__",
        "x.f_back",
        "x.y.z.gi_frame",
        "print.__self__",
        "__builtins__",
        "__loader__ = 1",
        "global __builtins__",
        "def __globals__(): pass",
        "def f(__class__): pass",
        "lambda *__class__: 0",
        "f(__class__=1)",
        "match x:\n  case int(__class__=y): pass",
        "match x:\n  case int(gi_frame=y): pass",
        "x.__getstate__()",
        "match x:\n  case __class__: pass",
        "match x:\n  case [*__class__]: pass",
        "match x:\n  case {**__class__}: pass",
        "try:\n  pass\nexcept E as __class__: pass",
        "from math import __loader__",
        "from math import pi as __loader__",
        "import math as __loader__",
        "import math.__loader__",
        "from sys import _getframe",
        "x._Any__globals__",
        "x.__ｃlass__",
        "'__globals__'",
        "{'__builtins__': 1}",
        "x['__globals__']",
        "'a.__globals__.b'",
        "'{0.__class__}'",
        "'{0.__class__}'.format(x)",
        "'{0.__cl' 'ass__}'.format(x)",
        "f'{x.__class__}'",
        "f'{{0.__class__}}'",
        "f'{x:{y.__class__}}'",
        "f'{1:__class__}'",
        "match x:\n  case '__class__': pass",
        "getattr(x, 'gi_frame')",
    ],
)
def test_ways_into_the_interpreter(code: str) -> None:
    policy = Policy(stdlib_allow=frozenset({"math", "sys"}))
    assert len([why for why in reasons(code, policy) if "reaches into the interpreter" in why]) == 1


@pytest.mark.parametrize(
    "code",
    [
        "if __name__ == '__main__': f.__name__, f.__doc__, f.__qualname__",
        "f_code = row['f_code']\nout = {'f_code': f_code, 'cell_contents': 1}",
        "__x = 2\n_y__z = __x",
        "x.__len__()",
        "'the __class__ attribute is denied'",
        "'{0.name} {1[key]} {x!r:>{width}}'.format(a, b, x=c, width=3)",
        "json_text = '{\"__class__\": 1}'",
        "'open __init__.py'",
        "def f(*args, __flag=1, **rest): return args",
    ],
)
def test_honest_code_passes(code: str) -> None:
    assert findings(code) == []


@pytest.mark.parametrize(
    "pattern",
    ["AttributeError(obj=y)", "object(codecs=y)", "types.ModuleType(_os=y)", "[object(x=[object(sys=y)])]"],
)
def test_class_patterns_that_look_up_what_a_guard_would_judge(pattern: str) -> None:
    (why,) = reasons(f"match x:\n  case {pattern}: pass")
    assert why.endswith("in a class pattern is disallowed.")


@pytest.mark.parametrize("pattern", ["Event(time=t, code=c)", "object(name=n)", "Point(1, y=2)"])
def test_honest_class_patterns(pattern: str) -> None:
    assert findings(f"match x:\n  case {pattern}: pass") == []


def test_the_state_of_an_object_may_be_defined() -> None:
    assert findings("class A:\n  def __getstate__(self): return {}", CLASSES) == []


def test_parts_of_importlib_that_load_anything_are_not_meant_by_its_name() -> None:
    why = NO_OS.replace("'os'", "'importlib.machinery'").replace("none", "importlib")
    for code in ("import importlib.machinery", "from importlib.machinery import SourceFileLoader"):
        assert reasons(code, allowing("importlib")) == [why]
    assert reasons("import importlib.metadata, importlib.resources", allowing("importlib")) == []
    assert reasons("import importlib.machinery", Policy(stdlib_allow=frozenset("*"))) == []


def test_classes_are_refused_where_they_cannot_be_made() -> None:
    (why,) = reasons("class A:\n  pass")
    assert "Class definitions" in why
    assert "N8N_RUNNERS_BUILTINS_DENY" in why


def test_classes_are_allowed_where_they_can() -> None:
    code = (
        "class A(B):\n  def __init__(self):\n    super().__init__()\n  def __eq__(self, other): return True"
    )
    assert findings(code, CLASSES) == []


@pytest.mark.parametrize(
    "hook", ["__init_subclass__", "__set_name__", "__class_getitem__", "__getattribute__"]
)
def test_hooks_of_the_type_system_are_refused(hook: str) -> None:
    assert len(findings(f"class A:\n  def {hook}(cls): pass", CLASSES)) == 1


def test_findings_come_in_the_order_of_the_lines_and_once() -> None:
    code = "y = x.__dict__\nclass A: pass\nimport os; import os\n\nx.__globals__, x.__class__, x.__globals__"
    assert [line for line, _why in findings(code)] == [1, 2, 3, 5, 5]


def test_a_digest_names_code_and_policy() -> None:
    one = digest("x", Policy())
    assert len(one) == 64
    assert set(one) <= set("0123456789abcdef")
    assert one == digest("x", Policy(environment=(("A", "1"),), max_result=1))
    others = [digest("y", Policy()), digest("x", allowing("os")), digest("x", CLASSES)]
    others += [digest("x", Policy(external_allow=frozenset({"os"}))), digest("\ud83d", Policy())]
    assert len({one, *others}) == 6


FRAGMENTS = st.sampled_from(
    [
        *keyword.kwlist,
        *keyword.softkwlist,
        *"()[]{}:,.=+-*@\\\"'#\n\t \x0c\0\ufeff\ud83dé",
        *("\n    ", "f'{", "'''", ":=", "**", "->", "x", "1", "0x", "format"),
        *("__class__", "__import__", "'{0.__class__}'"),
    ]
)


@settings(deadline=None)
@given(
    st.text() | st.lists(FRAGMENTS, max_size=30).map("".join) | st.lists(FRAGMENTS, max_size=20).map(" ".join)
)
@example("(" * 500 + ")" * 500)
@example("x" + ".y" * 400)
@example("+".join("x" * 2000))
@example("-" * 5000 + "x")
@example("return " * 3)
@example("__import__(None, **__import__)")
def test_no_text_is_too_odd_to_analyse(code: str) -> None:
    try:
        tree = parse_code(code)
    except TaskFailed as failed:
        assert failed.failure.kind == "user-code"
        assert failed.failure.message
        return
    for line, why in analyse(tree, Policy()):
        assert 1 <= line <= code.count("\n") + code.count("\r") + 1
        assert why
    try:
        compile_program(tree, code, guarded=True)
    except TaskFailed as failed:
        assert failed.failure.message
