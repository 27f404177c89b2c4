"""Allow-lists, and the way of a policy to the zygote."""

from __future__ import annotations

import pytest

from trio_runner.sandbox.policy import (
    DEFAULT_BUILTINS_DENY,
    Policy,
    is_standard_library,
    remarkable_modules,
    remedies,
)

SOME = Policy(
    stdlib_allow=frozenset({"json", "re"}),
    external_allow=frozenset({"pandas"}),
    builtins_deny=frozenset({"open"}),
    environment=(("A", "1"), ("B", "=")),
    max_result=5,
)


def test_a_policy_survives_the_way_to_the_zygote() -> None:
    assert Policy.from_json(SOME.to_json()) == SOME
    assert Policy.from_json(Policy().to_json()) == Policy()


@pytest.mark.parametrize("path", ["json", "json.decoder", "re", "pandas", "pandas.io.sql", "__future__"])
def test_what_the_lists_name_may_be_imported(path: str) -> None:
    assert SOME.import_fault(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("os", "Import of standard library module 'os' is disallowed. Allowed stdlib modules: json, re"),
        (
            "os.path",
            "Import of standard library module 'os.path' is disallowed. Allowed stdlib modules: json, re",
        ),
        (
            "_thread",
            "Import of standard library module '_thread' is disallowed. Allowed stdlib modules: json, re",
        ),
        ("numpy", "Import of external package 'numpy' is disallowed. Allowed external packages: pandas"),
        ("jsonx", "Import of external package 'jsonx' is disallowed. Allowed external packages: pandas"),
        (
            "__main__",
            "Import of external package '__main__' is disallowed. Allowed external packages: pandas",
        ),
    ],
)
def test_what_they_do_not_name_may_not(path: str, why: str) -> None:
    assert SOME.import_fault(path) == why


def test_an_empty_list_is_called_none() -> None:
    policy = Policy()
    assert policy.import_fault("os") == (
        "Import of standard library module 'os' is disallowed. Allowed stdlib modules: none"
    )
    assert policy.import_fault("numpy") == (
        "Import of external package 'numpy' is disallowed. Allowed external packages: none"
    )


def test_a_star_allows_its_own_half_only() -> None:
    policy = Policy(stdlib_allow=frozenset({"*"}))
    assert policy.import_fault("os") is None
    assert policy.import_fault("numpy") is not None


@pytest.mark.parametrize(
    ("stdlib", "external", "checked"), [("*", "*", False), ("*", "", True), ("", "*", True), ("", "", True)]
)
def test_code_is_checked_unless_everything_is_allowed(stdlib: str, external: str, checked: bool) -> None:
    policy = Policy(stdlib_allow=frozenset(stdlib.split()), external_allow=frozenset(external.split()))
    assert policy.checks_code is checked


@pytest.mark.parametrize(
    ("name", "standard"), [("sys", True), ("builtins", True), ("attr", False), ("", False)]
)
def test_the_standard_library_is_known(name: str, standard: bool) -> None:
    assert is_standard_library(name) is standard


def test_the_denied_builtins_are_those_of_the_setting() -> None:
    assert len(DEFAULT_BUILTINS_DENY) == 22
    assert {"eval", "type", "object", "__build_class__", "copyright"} <= DEFAULT_BUILTINS_DENY


def test_each_remedy_names_a_setting_and_comes_once() -> None:
    reasons = [str(SOME.import_fault("os")), str(SOME.import_fault("numpy")), str(SOME.import_fault("sys"))]
    stdlib, external, rest = remedies([*reasons, "Use of the attribute '__code__' is disallowed"])
    assert stdlib.startswith("N8N_RUNNERS_STDLIB_ALLOW ")
    assert external.startswith("N8N_RUNNERS_EXTERNAL_ALLOW ")
    assert "TRIO_RUNNER_SANDBOX_PROFILE" in rest
    assert remedies([]) == []


def test_modules_are_known_by_all_their_names() -> None:
    assert {"os", "_os", "codecs", "bltns", "st"} <= remarkable_modules()
