"""Attributes that only the object behind them can tell: modules, loaders, attributes by computed names."""

from __future__ import annotations

import ast
import sys

import pytest

from trio_runner.sandbox.attribute_guard import GUARDED_NAMES, AttributeGuard, guard_attributes
from trio_runner.sandbox.policy import Policy, SecurityViolation

from .running import CLASSES, FREE, allowing, run

REACHES = "Use of the attribute '__globals__' is disallowed: it reaches into the interpreter."
NO_CODECS = "Import of standard library module 'codecs' is disallowed. Allowed stdlib modules: json"


def why(code: str, policy: Policy) -> str:
    """Run code that only the guard can refuse, and return the first line of its description."""
    failure = run(code, policy=policy).failure
    assert failure["message"] == "Security violation detected", failure
    line = failure["description"].split("\n")[0]
    assert isinstance(line, str)
    return line.partition(": ")[2]


def test_assigning_an_attribute_of_that_name_is_let_be() -> None:
    tree = ast.parse("x.format = 1\ndel x.format\nx.copy += 1")
    before = ast.dump(tree)
    guard_attributes(tree)
    assert ast.dump(tree) == before


@pytest.mark.parametrize(
    "code",
    [
        "import json\nj = [json][0]\nreturn j.codecs",
        "import json\nmodules = {'a': json}\nreturn modules['a'].decoder.scanner.re",
        "import json\nreturn (lambda m: m.codecs)(json)",
    ],
)
def test_a_module_is_no_way_to_another_however_it_is_reached(code: str) -> None:
    assert "is disallowed. Allowed stdlib modules: json" in why(code, allowing("json"))


def test_what_has_a_name_that_modules_have_is_let_be() -> None:
    code = """\
import datetime, os
now = datetime.datetime(2026, 1, 2, 3)
return [[1].copy(), {'a': 1}.copy(), now.time().hour, os.path.join('a', 'b'), 'a b'.split()]
"""
    assert run(code, policy=allowing("datetime", "os")).result == [[1], {"a": 1}, 3, "a/b", ["a", "b"]]


def test_a_missing_attribute_is_python_s_own_error() -> None:
    failure = run("x = 5\nreturn x.copy()").failure
    assert failure["message"] == "'int' object has no attribute 'copy'"
    assert failure["lineNumber"] == 2


@pytest.mark.parametrize(
    "code",
    [
        "import operator\nreturn operator.attrgetter('__glo' + 'bals__')(print)",
        "import operator\nreturn operator.attrgetter('x.__glo' + 'bals__.y', 'z')(print)",
        "from operator import attrgetter as get\nreturn get('__glo' + 'bals__')(print)",
        "import operator\nmake = [operator][0].attrgetter\nreturn make('__glo' + 'bals__')(print)",
        "import operator\nreturn operator.methodcaller('__glo' + 'bals__')(print)",
    ],
)
def test_attributes_by_computed_names(code: str) -> None:
    assert why(code, allowing("operator")) == REACHES


def test_honest_attributes_by_name() -> None:
    code = """\
from operator import attrgetter, itemgetter, methodcaller
import operator
return [attrgetter('real')(3), operator.attrgetter('real', 'imag')(3), operator.attrgetter('real.real')(3),
    methodcaller('split', ',')('a,b'), methodcaller('format', 1)('<{}>'), itemgetter(1)([1, 2])]
"""
    assert run(code, policy=allowing("operator")).result == [3, [3, 0], 3, ["a", "b"], "<1>", 2]
    failure = run("import operator\noperator.attrgetter(3)", policy=allowing("operator")).failure
    assert failure["message"] == "attribute name must be a string"


def test_methodcaller_of_format_has_its_template_looked_at() -> None:
    code = "import operator\nt = '{0.__glo' + 'bals__}'\nreturn operator.methodcaller('format', print)(t)"
    assert why(code, allowing("operator")).startswith(
        "Use of the attribute '__globals__' in a format template"
    )


def test_getattr_where_it_is_not_denied() -> None:
    assert why("return getattr(print, '__glo' + 'bals__')", CLASSES) == REACHES
    template = "t = '{0.__glo' + 'bals__}'\nreturn getattr(t, 'format')(print)"
    assert "in a format template" in why(template, CLASSES)
    code = "return [getattr(3, 'real'), getattr(3, 'nothing', 7), getattr([1], 'copy')()]"
    assert run(code, policy=CLASSES).result == [3, 7, [1]]
    assert run("return getattr(3, 'nothing')", policy=CLASSES).failure["message"].endswith("'nothing'")


@pytest.mark.parametrize(
    "code",
    [
        "import importlib\nreturn importlib.import_module('codecs')",
        "import importlib as i\nreturn [i][0].import_module('cod' + 'ecs').open",
        "from importlib import import_module\nreturn import_module('codecs')",
        "import importlib.util\nreturn importlib.util.find_spec('codecs')",
        "from importlib.util import find_spec\nreturn find_spec(name='codecs')",
        "import sys\nreturn sys.modules['codecs']",
        "from sys import modules\nreturn modules['codecs']",
        "import pkgutil\nreturn pkgutil.resolve_name('codecs:open')",
        "import runpy\nreturn runpy.run_module('codecs')",
    ],
)
def test_imports_by_name_are_judged(code: str) -> None:
    names = "importlib", "json", "pkgutil", "runpy", "sys"
    wanted = NO_CODECS.replace("json", ", ".join(names))
    assert why(code, allowing(*names)) == wanted


@pytest.mark.parametrize(
    "code",
    [
        "import importlib.util as u\nreturn u.find_spec('json').loader",
        "import importlib.util as u\nreturn u.spec_from_file_location('x', '/etc/passwd')",
        "from importlib.util import module_from_spec",
        "import runpy\nreturn runpy.run_path('/etc/passwd')",
    ],
)
def test_loading_past_the_allow_lists(code: str) -> None:
    assert why(code, allowing("importlib", "json", "runpy")).endswith("it loads code past the allow-lists.")


def test_honest_imports_by_name() -> None:
    code = """\
import importlib, importlib.util, sys
from importlib import metadata
loaded = importlib.import_module('json')
found = importlib.util.find_spec('json').name
length = importlib.import_module('builtins').len([1])
return [loaded.dumps([1]), importlib.import_module('json.decoder').JSONDecodeError.__name__, found,
    'json' in sys.modules, 'codecs' in sys.modules, sys.modules.get('nothing'), length]
"""
    result = run(code, policy=allowing("json", "importlib", "sys", "builtins")).result
    assert result == ["[1]", "JSONDecodeError", "json", True, False, None, 1]


def test_relative_import_modules() -> None:
    code = "import importlib\nreturn importlib.import_module('.decoder', 'json')"
    assert why(code, allowing("importlib", "json")) == "Relative imports are disallowed."


def test_a_module_that_is_not_loaded_is_an_ordinary_key_error() -> None:
    failure = run("import sys\nreturn sys.modules['nothing']", policy=allowing("sys")).failure
    assert failure["message"] == "'nothing'"


def test_the_object_behind_an_attribute_error() -> None:
    code = "try:\n    [].nothing\nexcept AttributeError as error:\n    return error.obj"
    assert why(code, Policy()) == "Use of the attribute 'obj' of an exception is disallowed."


def test_obj_of_anything_else_is_let_be() -> None:
    code = """\
from types import SimpleNamespace
return SimpleNamespace(obj=3, loader=4, modules=5).obj
"""
    assert run(code, policy=allowing("types")).result == 3


def test_nothing_is_guarded_where_code_is_not_checked() -> None:
    code = "import operator\nreturn operator.attrgetter('__globals__')(lambda: 0)['__name__']"
    assert run(code, policy=FREE).result == "__main__"


def test_the_names_of_modules_are_guarded() -> None:
    assert {"codecs", "os", "_os", "bltns", "copy"} <= GUARDED_NAMES
    assert not {"append", "get", "items", "json_normalize", "real"} & GUARDED_NAMES


def test_every_module_that_a_module_of_python_holds_is_guarded() -> None:
    """A name that is missing is a way around: here it shows for the modules that this process has loaded."""
    guard = AttributeGuard(allowing("json"), __import__)
    held: set[str] = set()
    for path, module in list(sys.modules.items()):
        top = path.partition(".")[0]
        if top not in sys.stdlib_module_names:
            continue
        for name, value in list(vars(module).items()):
            foreign = type(value) is type(sys) and value.__name__.partition(".")[0] != top
            if (
                foreign
                and value.__name__.partition(".")[0] in sys.stdlib_module_names
                and name.isidentifier()
            ):
                held.add(name)
    assert len(held) > 50
    assert held - GUARDED_NAMES <= {"__builtins__", "__main__", "path", "_"}
    with pytest.raises(SecurityViolation):
        guard.look_up(sys.modules["json"], "codecs")
