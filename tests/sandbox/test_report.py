"""What a person is told when a task fails."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from trio_runner.sandbox.report import Failure, failure_of

from .running import FREE, allowing, run

LIBRARY = allowing("json", "re", "sys")
HOSTILE = "class Odd({base}):\n    def __str__(self):\n        {body}\nraise Odd()"


def failure(code: str, items: list[Any] | None = None) -> dict[str, Any]:
    return run(code, items, policy=FREE).failure


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('boom')", "boom"),
        ("raise Exception('Grüße \\ud83d')", "Grüße \ud83d"),
        ("{}['missing']", "'missing'"),
        ("raise ValueError", "ValueError"),
        ("raise ValueError('')", "ValueError"),
        ("raise ValueError('two', 'arguments')", "('two', 'arguments')"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise KeyboardInterrupt('stop')", "stop"),
        ("raise GeneratorExit('gen')", "gen"),
        ("raise BaseException('base')", "base"),
        ("raise StopIteration", "StopIteration"),
        ("raise MemoryError", "MemoryError"),
        ("raise ExceptionGroup('group', [ValueError('a'), KeyError('b')])", "group (2 sub-exceptions)"),
        ("assert False", "AssertionError"),
        ("raise 3", "exceptions must derive from BaseException"),
        ("def down(): return down()\ndown()", "maximum recursion depth exceeded"),
        ("raise SystemExit", "Process exited with code 0"),
        ("raise SystemExit(None)", "Process exited with code 0"),
        ("raise SystemExit(0)", "Process exited with code 0"),
        ("raise SystemExit(3)", "Process exited with code 3"),
        ("raise SystemExit('text')", "Process exited with code text"),
        ("import sys\nsys.exit(-1)", "Process exited with code -1"),
        ("raise SystemExit([1, 2])", "Process exited with code [1, 2]"),
    ],
)
def test_messages(code: str, message: str) -> None:
    found = failure(code)
    assert found["message"] == message
    assert found["kind"] == "user-code"
    assert found["lineNumber"] is not None
    assert f" in line {found['lineNumber']}: " in found["description"]


@pytest.mark.parametrize("base", ["Exception", "BaseException", "SystemExit", "KeyError"])
@pytest.mark.parametrize(
    "body", ["raise ValueError('no text')", "return 7", "1 / 0", "return self.__str__()"]
)
def test_an_exception_whose_str_fails(base: str, body: str) -> None:
    found = failure(HOSTILE.format(base=base, body=body))
    assert found["message"] == ("Process exited with code 0" if base == "SystemExit" else "Odd")
    assert found["lineNumber"] == 4


@pytest.mark.parametrize("body", ["raise SystemExit(1)", "raise KeyboardInterrupt", "raise GeneratorExit"])
def test_an_exception_whose_str_ends_everything(body: str) -> None:
    found = failure(HOSTILE.format(base="Exception", body=body))
    assert found["message"] == "Odd"
    assert found["kind"] == "user-code"


def test_a_type_without_a_name() -> None:
    code = """
class M(type):
    __name__ = property(lambda cls: 1 / 0)
class Odd(Exception, metaclass=M): pass
raise Odd()
"""
    assert failure(code)["message"] == "object"


def test_the_headline_is_the_innermost_line_of_the_persons_own() -> None:
    found = failure("import json\n\ndef inner(text):\n    return json.loads(  text  )\n\ninner('{')\n")
    assert found["lineNumber"] == 4
    assert found["description"] == "JSONDecodeError in line 4: return json.loads(  text  )"


def test_a_very_long_line_is_cut() -> None:
    found = failure("x = 0; y = '" + "a" * 10_000 + "'; 1 / x")
    assert len(found["description"]) < 1000


def test_the_stack_shows_own_frames_and_notes_the_library() -> None:
    stack = failure("import json\ndef inner():\n    json.loads('{')\ninner()")["stack"]
    assert re.findall(r'File "<code>", line (\d+)', stack) == ["4", "3"]
    assert "    json.loads('{')\n" in stack
    assert re.search(r'File "<json\.decoder>", line \d+, in raw_decode \(last of 3 library frames\)', stack)
    assert "site-packages" not in stack
    assert "trio_runner" not in stack


def test_a_call_back_from_a_library_is_shown_in_order() -> None:
    code = "import re\ndef replace(match):\n    return 1 / 0\nre.sub('a', replace, 'a')"
    stack = failure(code)["stack"]
    assert re.findall(r'File "<([\w.]+)>", line', stack) == ["code", "re", "code"]


def test_frames_of_the_guards_are_ours() -> None:
    stack = run("import json\nt = '{}'\nreturn t.format()", policy=LIBRARY).failure["stack"]
    assert re.findall(r'File "(.*)"', stack) == ["<code>"]


def test_chained_exceptions_are_shown() -> None:
    stack = failure("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e")["stack"]
    assert "KeyError: 'a'" in stack
    assert "direct cause" in stack
    assert stack.endswith("ValueError: b")
    stack = failure("try:\n    {}['a']\nexcept KeyError:\n    1 / 0")["stack"]
    assert "During handling" in stack
    stack = failure("try:\n    {}['a']\nexcept KeyError:\n    raise ValueError from None")["stack"]
    assert "KeyError" not in stack


def test_a_circle_of_causes_ends() -> None:
    code = "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a"
    stack = failure(code)["stack"]
    assert "ValueError: a" in stack


def test_the_parts_of_a_group_are_shown() -> None:
    code = """def f():
    raise KeyError('inner')
try:
    f()
except KeyError as e:
    raise ExceptionGroup('g', [e])
"""
    stack = failure(code)["stack"]
    assert "KeyError: 'inner'" in stack
    assert "line 2, in f" in stack


@pytest.mark.parametrize(
    "code",
    [
        "def even(n): return odd(n + 1)\ndef odd(n): return even(n + 1)\neven(0)",
        "raise ValueError('x' * 1_000_000)",
        "raise ExceptionGroup('g', [ValueError('y' * 5000) for n in range(500)])",
        "e = None\nfor n in range(500):\n    new = ValueError(n)\n    new.__cause__, e = e, new\nraise e",
        "import sys\nfor _ in range(3000): print('e' * 1000, file=sys.stderr)\n1 / 0",
        "raise ValueError('\\0' * 500_000)",
    ],
)
def test_a_failure_is_bounded(code: str) -> None:
    found = failure(code)
    assert len(found["stack"]) < 20_000
    assert len(json.dumps(found)) < 1_000_000


def test_stderr_joins_the_description() -> None:
    code = """import sys
sys.stderr.write('diagnosis 77\\n')
print('more', file=sys.stderr)
raise ValueError('boom')
"""
    found = failure(code)
    assert found["message"] == "boom"
    headline, rest = found["description"].split("\n", 1)
    assert headline == "ValueError in line 4: raise ValueError('boom')"
    assert rest == "stderr:\ndiagnosis 77\nmore"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("raise MemoryError", "more memory than it may use"),
        ("def f(): return f()\nf()", "calls itself"),
        ("assert 1 == 2", "assertion does not hold"),
        (
            "import there_is_no_such_package",
            "'there_is_no_such_package' may be imported, but is not installed",
        ),
    ],
)
def test_hints(code: str, hint: str) -> None:
    assert hint in failure(code)["description"]


@pytest.mark.parametrize("code", ["import json.nothing", "from json import nothing", "assert 1 == 2, 'why'"])
def test_no_misleading_hints(code: str) -> None:
    assert "\n" not in failure(code)["description"]


def test_an_error_without_a_frame_of_the_persons_own() -> None:
    found = failure_of(ValueError("x"), "", FREE)
    assert found.line_number is None
    assert found.description == "ValueError"
    assert found.stack == "ValueError: x"


def test_how_a_failure_is_written() -> None:
    written = Failure(kind="policy", message="m", description="d", stack="s\ud83d", line_number=3).to_json()
    assert json.loads(written.decode("utf-8")) == {
        "kind": "policy",
        "message": "m",
        "description": "d",
        "stack": "s\ud83d",
        "lineNumber": 3,
    }
