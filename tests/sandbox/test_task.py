"""One task, from its settings to its last frame: which frames, in which order, whatever the code does."""

from __future__ import annotations

import builtins
import linecache
import marshal
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_runner.sandbox import task
from trio_runner.sandbox.analysis import digest
from trio_runner.sandbox.framing import FrameKind
from trio_runner.sandbox.policy import Policy
from trio_runner.sandbox.report import CODE_NAME
from trio_runner.sandbox.run_code import Run
from trio_runner.sandbox.task import rehearse, run_task

from .running import CLASSES, FREE, allowing, run

STARTED, APPROVED, PRINTED = FrameKind.STARTED, FrameKind.APPROVED, FrameKind.PRINTED
RESULT, FAILED = FrameKind.RESULT, FrameKind.FAILED


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ("print(1)\nreturn 2", [STARTED, APPROVED, PRINTED, RESULT]),
        ("print(1)\n1 / 0", [STARTED, APPROVED, PRINTED, FAILED]),
        ("print(1)\nreturn float('nan')", [STARTED, APPROVED, PRINTED, FAILED]),
        ("print(1)\nimport os", [STARTED, FAILED]),
        ("print(1", [STARTED, FAILED]),
        ("print(1)\nbreak", [STARTED, FAILED]),
    ],
)
def test_the_order_of_frames(code: str, kinds: list[FrameKind]) -> None:
    assert run(code).kinds == kinds


def test_approval_names_the_code_and_is_not_repeated() -> None:
    code = "return 1"
    name = digest(code, Policy())
    (first,) = run(code).payloads(APPROVED)
    assert (first[:64].decode(), marshal.loads(first[64:]).co_filename) == (name, CODE_NAME)
    known = run(code, approved={name: first[64:]})
    assert (known.kinds, known.payloads(APPROVED)) == ([STARTED, APPROVED, RESULT], [name.encode()])
    assert run(code, approved={digest(code, CLASSES): first[64:]}).payloads(APPROVED) == [first]


def test_a_program_that_is_known_runs_as_the_code_would() -> None:
    code = "# a comment\n\nraise ValueError('here')"
    (first,) = run(code).payloads(APPROVED)
    failure = run(code, approved={digest(code, Policy()): first[64:]}).failure
    assert failure == run(code).failure
    assert (failure["lineNumber"], "raise ValueError('here')" in failure["stack"]) == (3, True)


def test_a_program_too_large_to_be_kept_is_approved_all_the_same() -> None:
    code = f"return len({'x' * 100_000!r})"
    name = digest(code, Policy()).encode()
    assert run(code).payloads(APPROVED) == [name]
    again = run(code, approved={name.decode(): b""})
    assert (again.payloads(APPROVED), again.result) == ([name], 100_000)


def test_approved_code_is_not_analysed_again_but_guarded_still() -> None:
    refused = "import os\nreturn os.getcwd()"
    frames = run(refused, approved={digest(refused, Policy()): b""})
    assert frames.failure["message"] == "Security violation detected"
    assert frames.failure["description"].startswith("Line 1: Import of standard library module 'os'")
    template = "t = '{0.__class__}'\nreturn t.format(1)"
    frames = run(template, approved={digest(template, Policy()): b""})
    assert frames.failure["kind"] == "policy"


def test_code_is_not_analysed_where_everything_is_allowed() -> None:
    frames = run("return ().__class__.__name__ + '__globals__'", policy=FREE)
    assert frames.kinds == [STARTED, APPROVED, RESULT]
    assert frames.result == "tuple__globals__"


def test_the_static_check_tells_everything_at_once() -> None:
    failure = run("import os\nx = 1\nimport numpy\nreturn ().__class__\n").failure
    assert failure["kind"] == "policy"
    assert failure["message"] == "Security violations detected"
    assert failure["lineNumber"] == 1
    lines = failure["description"].split("\n")
    assert (
        lines[0]
        == "Line 1: Import of standard library module 'os' is disallowed. Allowed stdlib modules: none"
    )
    assert (
        lines[1]
        == "Line 3: Import of external package 'numpy' is disallowed. Allowed external packages: none"
    )
    assert lines[2].startswith("Line 4: ")


def test_very_many_findings_are_bounded() -> None:
    failure = run("\n".join(["import os"] * 500)).failure
    lines = failure["description"].split("\n")
    assert len(lines) == 102
    assert lines[-2] == "… and 400 more"
    assert lines[-1].startswith("N8N_RUNNERS_STDLIB_ALLOW of the runner lists")


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    from json import codecs\nexcept Exception:\n    return 'caught'",
        "t = '{0.__cl' + 'ass__}'\ntry:\n    t.format(1)\nexcept Exception:\n    return 'caught'",
    ],
)
def test_code_may_catch_what_is_refused_at_run_time(code: str) -> None:
    name = digest(code, allowing("json"))
    assert run(code, policy=allowing("json"), approved={name: b""}).result == "caught"


def test_the_environment_of_the_tests_is_untouched() -> None:
    import os
    import sys

    before = dict(os.environ), sys.stdout, sys.modules["__main__"], sys.argv
    run("return 1")
    assert (dict(os.environ), sys.stdout, sys.modules["__main__"], sys.argv) == before


def statements() -> Iterator[str]:
    yield from [
        "print(1)",
        "x = [1]",
        "x.append(x)",
        "return x",
        "raise ValueError(x)",
        "1 / 0",
        "yield 1",
        "import os",
    ]
    yield from [
        "return float('inf')",
        "raise SystemExit",
        "x = x + 1",
        "return {1: {2}}",
        "def f(): pass",
        "break",
        "(",
    ]


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(statements())), max_size=5), st.booleans())
def test_every_task_starts_and_ends_once(lines: list[str], each: bool) -> None:
    mode = "runOnceForEachItem" if each else "runOnceForAllItems"
    frames = run("\n".join(lines), [{}, {}], mode=mode, policy=FREE)
    assert frames.kinds[0] is STARTED
    assert frames.kinds[-1] in (RESULT, FAILED)
    assert frames.kinds[1] in (APPROVED, FAILED)
    assert set(frames.kinds[2:-1]) <= {PRINTED}


# --- rehearsals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy(), FREE, CLASSES, Policy(builtins_deny=frozenset(dir(builtins)))])
def test_a_rehearsal_succeeds_under_any_policy_and_leaves_nothing(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[FrameKind] = []
    monkeypatch.setattr(task, "_whole", lambda send: lambda kind, payload: sent.append(kind))
    linecache.cache.pop(CODE_NAME, None)
    before = (sys.stdout, sys.stderr, signal.pthread_sigmask(signal.SIG_BLOCK, ()), dict(linecache.cache))
    builtins_before = dict(vars(builtins))
    rehearse(policy)
    assert sent[-1] is RESULT
    assert before == (
        sys.stdout,
        sys.stderr,
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        dict(linecache.cache),
    )
    assert vars(builtins) == builtins_before


def test_what_a_rehearsal_keeps_is_for_its_own_policy(capsys: pytest.CaptureFixture[str]) -> None:
    strict, free = Policy(builtins_deny=frozenset({"len"})), Policy()
    rehearse(strict)
    assert run("return len([1])", policy=free).result == 1
    rehearse(strict)
    frames = run("print('here')\nreturn len([1])", policy=strict)
    assert frames.prints == [["'here'"]]
    assert "'len' is denied" in frames.failure["description"]
    assert capsys.readouterr().out == ""


class Tracked(bytes):
    """Settings that tell when they are gone."""

    gone = False

    def __del__(self) -> None:
        Tracked.gone = True


def test_the_bytes_of_the_settings_are_gone_while_the_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(Run, "result", lambda self: seen.append(Tracked.gone))
    settings = [Tracked(b'{"code": "return 1", "nodeMode": "runOnceForAllItems", "items": []}')]
    run_task(settings.pop(), FREE, lambda kind, payload: None)
    assert seen == [True]
