"""``__import__`` as the person's code has it."""

from __future__ import annotations

import json
import os

import pytest

from trio_runner.sandbox.import_guard import guarded_import
from trio_runner.sandbox.policy import Policy, SecurityViolation

from .running import FREE, allowing, run


def test_an_allowed_module_is_imported() -> None:
    load = guarded_import(allowing("json", "os"), {})
    assert load("json") is json
    assert load("json.decoder") is json
    assert load("json.decoder", {}, {}, ("JSONDecoder",)) is json.decoder
    assert load("os", fromlist=("path",)) is os


@pytest.mark.parametrize("name", ["sys", "os.path", "numpy"])
def test_another_is_not(name: str) -> None:
    with pytest.raises(SecurityViolation, match=f"'{name}' is disallowed"):
        guarded_import(allowing("json"), {})(name)


def test_relative_imports_are_not() -> None:
    with pytest.raises(SecurityViolation, match=r"^Relative imports are disallowed\.$"):
        guarded_import(FREE, {})("json", {}, {}, (), 1)


def test_a_name_cannot_pretend_to_be_another() -> None:
    class Liar(str):
        __slots__ = ()

        def partition(self, sep: str, /) -> tuple[str, str, str]:
            return ("json", "", "")

        def __str__(self) -> str:
            return "json"

    with pytest.raises(SecurityViolation, match="'sys' is disallowed"):
        guarded_import(allowing("json"), {})(Liar("sys"))


def test_a_name_is_text() -> None:
    with pytest.raises(TypeError, match="module name must be a string, not int"):
        guarded_import(FREE, {})(7)


def test_names_from_a_module_are_no_way_to_another_module() -> None:
    load = guarded_import(allowing("json"), {})
    with pytest.raises(SecurityViolation, match="'codecs' is disallowed"):
        load("json", {}, {}, ("loads", "codecs"))


def test_the_module_builtins_shows_what_code_may_use() -> None:
    visible = {"len": len}
    view = guarded_import(Policy(stdlib_allow=frozenset("*")), visible)("builtins")
    assert vars(view)["len"] is len
    assert not hasattr(view, "open")


def test_the_module_builtins_is_itself_where_nothing_is_denied() -> None:
    import builtins

    assert guarded_import(FREE, {})("builtins") is builtins


@pytest.mark.parametrize(
    ("module", "expression"),
    [
        ("datetime", "datetime.date.today().year > 2000"),
        ("datetime", "datetime.datetime.strptime('2020-01-02', '%Y-%m-%d').day == 2"),
        ("datetime", "datetime.datetime(2020, 1, 2).strftime('%d') == '02'"),
        ("datetime", "datetime.date(2020, 1, 2).timetuple().tm_yday == 2"),
        ("time", "time.strptime('2020', '%Y').tm_year == 2020"),
        ("re", "re.sub('(a)', r'\\1b', 'a') == 'ab'"),
        ("decimal", "str(decimal.Decimal('1.25').quantize(decimal.Decimal('1.0'))) == '1.2'"),
        ("zoneinfo", "str(zoneinfo.ZoneInfo('UTC')) == 'UTC'"),
    ],
)
def test_what_c_code_of_an_allowed_module_imports_at_call_time_is_let_through(
    module: str, expression: str
) -> None:
    assert run(f"import {module}\nreturn {expression}", policy=allowing(module)).result is True


def test_c_code_may_not_import_just_anything() -> None:
    scope: dict[str, object] = {}
    with pytest.raises(SecurityViolation, match="'os' is disallowed"):
        guarded_import(allowing("json"), {})("os", scope, scope, [], 0)
    with pytest.raises(SecurityViolation, match="'time' is disallowed"):
        guarded_import(allowing("json"), {})("time", scope, scope, (), 0)


def test_c_code_of_external_packages_may() -> None:
    scope: dict[str, object] = {}
    policy = Policy(external_allow=frozenset({"numpy"}))
    assert guarded_import(policy, {})("os", scope, scope, [], 0) is os
