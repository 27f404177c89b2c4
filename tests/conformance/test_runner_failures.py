"""Every way a task can fail, with the message of the document: section 4, the table of failures."""

from __future__ import annotations

import os
import re

import pytest

from .fake_broker import Session, fresh_id
from .processes import MARK, marked
from .task_desk import TaskDesk

LONG = "import time\ntime.sleep(60)\n"
# How a task ends itself, and which exit codes say so truthfully: a signal is -n or 128 + n.
DEATHS = [
    ("os._exit(0)", "0"),
    ("os._exit(3)", "3"),
    ("os.kill(os.getpid(), 15)\ntime.sleep(5)", "-15|143"),
    ("os.kill(os.getpid(), 11)\ntime.sleep(5)", "-11|139"),
    ("os.abort()", "-6|134"),
]


def exited(codes: str) -> re.Pattern[str]:
    """Return what the message of a worker that ended with one of these codes looks like."""
    return re.compile(rf"Task subprocess exited with code ({codes})")


@pytest.mark.row("2", "runner:taskerror with taskId and error {message, description}")
def test_the_answer_is_taskerror(plain: TaskDesk) -> None:
    run = plain.run("raise ValueError('boom')")
    assert set(run.end) == {"type", "taskId", "error"}
    assert run.end["type"] == "runner:taskerror"
    assert run.error["message"] == "boom"


@pytest.mark.row("4", "failure: user code raised → str(exception)")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('boom')", "boom"),
        ("raise Exception('Grüße 👋')", "Grüße 👋"),
        ("{}['missing']", "'missing'"),
        ("1 / 0", "division by zero"),
        ("undefined_name", "name 'undefined_name' is not defined"),
        ("raise KeyboardInterrupt('stop')", "stop"),
        ("raise BaseException('base')", "base"),
        ("raise GeneratorExit('gen')", "gen"),
        ("raise ValueError('two', 'arguments')", "('two', 'arguments')"),
        ("raise ExceptionGroup('group', [ValueError('a'), KeyError('b')])", "group (2 sub-exceptions)"),
        ("assert False, 'asserted'", "asserted"),
        ("int('x')", "invalid literal for int() with base 10: 'x'"),
    ],
)
def test_an_exception_is_told(plain: TaskDesk, code: str, message: str) -> None:
    assert plain.error(code)["message"] == message


@pytest.mark.row("4", "failure: user code raised in one of the items")
def test_an_exception_in_an_item_is_told(plain: TaskDesk) -> None:
    items = [{"json": {"n": n}} for n in (2, 1, 0)]
    error = plain.error("return 1 / _item['json']['n']", nodeMode="runOnceForEachItem", items=items)
    assert error["message"] == "division by zero"


@pytest.mark.row("4", "failure: SystemExit → Process exited with code {code}, an exit with 0 as well")
@pytest.mark.parametrize("code", ["0", "3", "'text'"])
def test_system_exit_is_told(plain: TaskDesk, code: str) -> None:
    assert (
        plain.error(f"raise SystemExit({code})")["message"]
        == f"Process exited with code {code.strip(chr(39))}"
    )


@pytest.mark.row("4", "failure: sys.exit() → Process exited with code {code}")
def test_sys_exit_is_told(free: TaskDesk) -> None:
    assert free.error("import sys\nsys.exit(4)")["message"] == "Process exited with code 4"


@pytest.mark.row("4", "failure: user code raised, lineNumber and stack are of the person's own code")
def test_the_line_of_an_exception_is_the_persons_own(plain: TaskDesk) -> None:
    error = plain.error("x = 1\n\ndef inner():\n    raise ValueError('deep')\n\ninner()\n")
    assert error["lineNumber"] == 4
    lines = [int(number) for number in re.findall(r"line (\d+)", error["stack"])]
    assert lines == [6, 4]


@pytest.mark.row("4", "failure: an exception deeper in a library still has the person's own line")
def test_the_line_of_an_exception_in_a_library(free: TaskDesk) -> None:
    error = free.error("import json\n\njson.loads('{')\n")
    assert error["lineNumber"] == 3


@pytest.mark.row("4", "failure: what a failure tells does not show the runner's own files")
def test_an_error_shows_no_frames_of_the_runner(plain: TaskDesk) -> None:
    assert "trio_runner" not in str(plain.run("raise ValueError('boom')").end)


@pytest.mark.row("4", "failure: code does not parse → SyntaxError's text, line in the person's own code")
@pytest.mark.parametrize(
    ("code", "text", "line"),
    [
        ("x = 1\nif x\n    return 2", "expected ':'", 2),
        ("x = 1\n\n\nreturn (", "'(' was never closed", 4),
        ("return 1\n  y = 2", "unexpected indent", 2),
        ("a = 1\nb = 2\nreturn 'open", "unterminated string literal", 3),
        ("x = 1\nnonlocal y", "no binding for nonlocal 'y' found", 2),
    ],
)
@pytest.mark.parametrize("mode", ["runOnceForAllItems", "runOnceForEachItem"])
def test_a_syntax_error_is_told_with_its_line(
    plain: TaskDesk, code: str, text: str, line: int, mode: str
) -> None:
    error = plain.error(code, nodeMode=mode)
    assert text in error["message"]
    assert f"line {line}" in error["message"]
    assert error.get("lineNumber", line) == line


@pytest.mark.row("4", "failure: code that cannot be compiled at all is the task's own problem")
@pytest.mark.parametrize(
    "code",
    [
        "return 1\x00",
        "x = '\ud83d'\nreturn x",
        "(" * 1000 + ")" * 1000,
        "-" * 100_000 + "1",
        "return " + "x." * 50_000,
    ],
    ids=["null", "surrogate", "parentheses", "minus", "attributes"],
)
def test_code_that_breaks_a_parser(plain: TaskDesk, code: str) -> None:
    run = plain.run(code)
    assert run.done or run.error["message"]
    assert plain.result("return 1") == 1


@pytest.mark.row("4", "code cannot close the function it is the body of")
@pytest.mark.parametrize(
    "code", ["return 1\n)", "pass\ndef _user_function(): return 7\n", "return 1\n\x0cx = (", "}"]
)
def test_code_stays_inside_its_function(plain: TaskDesk, code: str) -> None:
    run = plain.run(code)
    assert not run.done or run.result is None


@pytest.mark.row("4", "stderr of user code becomes the description of its failure")
def test_stderr_becomes_the_description(free: TaskDesk) -> None:
    error = free.error("import sys\nsys.stderr.write('diagnosis 77\\n')\nraise ValueError('boom')")
    assert error["message"] == "boom"
    assert "diagnosis 77" in error["description"]


@pytest.mark.row("4", "stderr of user code: a flood of it is bounded and stops nothing")
def test_a_flood_of_stderr_stops_nothing(free: TaskDesk) -> None:
    error = free.error(
        "import sys\nfor _ in range(3000):\n    print('e' * 1000, file=sys.stderr)\nraise ValueError('boom')"
    )
    assert error["message"] == "boom"


@pytest.mark.row("4", "failure: an exception that cannot be written is told all the same")
@pytest.mark.parametrize(
    "body", ["raise ValueError('no text')", "return 7", "return '\\ud83d'", "import os; os._exit(9)"]
)
def test_an_exception_that_cannot_be_written(free: TaskDesk, body: str) -> None:
    assert free.error(f"class Odd(Exception):\n    def __str__(self):\n        {body}\nraise Odd()")[
        "message"
    ]
    assert free.result("return 1") == 1


@pytest.mark.row("4", "failure: endless recursion is an exception of the task")
def test_recursion_is_told(plain: TaskDesk) -> None:
    assert "recursion" in plain.error("def down():\n    return down()\ndown()")["message"]


@pytest.mark.row("4", "failure: ran past the timeout of 1 → … after 1 second")
def test_a_timeout_is_told(hasty: TaskDesk) -> None:
    error = hasty.error(LONG)
    assert error["message"] == "Task execution timed out after 1 second"


@pytest.mark.row(
    "4", "failure: a timeout ends a busy task that ignores signals, and no process of it is left"
)
def test_a_timeout_is_the_end_of_every_process(patient: TaskDesk) -> None:
    markers = {mode: fresh_id(f"timeout-{mode}") for mode in ("busy", "child")}

    def code(mode: str) -> str:
        return MARK.format(marker=markers[mode]) + (
            "import os, signal, time\n"
            "for number in (1, 2, 3, 10, 12, 14, 15):\n    signal.signal(number, signal.SIG_IGN)\n"
            f"if {mode!r} == 'child' and os.fork() == 0:\n    os.setsid()\n"
            "print('up')\n"
            "while True:\n    time.sleep(0.01) if os.getppid() else None\n"
        )

    async def watch(session: Session) -> list[tuple[bool, str, list[int]]]:
        tasks = {mode: await session.start(code(mode)) for mode in markers}
        for task_id in tasks.values():
            await session.printed(task_id, "'up'")
        alive = {mode: bool(marked(marker)) for mode, marker in markers.items()}
        ends = {mode: (await session.end(task_id)).error for mode, task_id in tasks.items()}
        return [(alive[mode], ends[mode]["message"], marked(markers[mode])) for mode in markers]

    assert patient.use(watch) == [(True, "Task execution timed out after 3 seconds", [])] * 2


@pytest.mark.row("4", "failure: a worker that ended otherwise → Task subprocess exited with code {code}")
@pytest.mark.parametrize(("death", "codes"), DEATHS)
def test_the_end_of_a_worker_is_told(free: TaskDesk, death: str, codes: str) -> None:
    error = free.error(f"import os, time\n{death}\nreturn 'survived'")
    assert exited(codes).fullmatch(error["message"]), error


@pytest.mark.row("4", "failure: killed → Process was forcefully killed (SIGKILL)")
def test_a_kill_from_inside_is_told(free: TaskDesk) -> None:
    error = free.error("import os, time\nos.kill(os.getpid(), 9)\ntime.sleep(5)\nreturn 'survived'")
    assert error["message"] == "Process was forcefully killed (SIGKILL)"


@pytest.mark.row("4", "failure: killed from outside, as the kernel does when memory runs out")
def test_a_kill_from_outside_is_told(free: TaskDesk) -> None:
    marker = fresh_id("kill-marker")

    async def kill(session: Session) -> str:
        task_id = await session.start(MARK.format(marker=marker) + "print('up')\n" + LONG)
        await session.printed(task_id, "'up'")
        for pid in marked(marker):
            os.kill(pid, 9)
        return str((await session.end(task_id)).error["message"])

    assert free.use(kill) == "Process was forcefully killed (SIGKILL)"


@pytest.mark.row("4", "output printed before a crash arrives before the error")
@pytest.mark.parametrize(
    "death",
    [
        "os._exit(3)",
        "os.kill(os.getpid(), 9)",
        "os.kill(os.getpid(), 15)",
        "raise ValueError('x')",
        "os.abort()",
    ],
)
def test_output_before_a_crash_arrives(free: TaskDesk, death: str) -> None:
    run = free.run(f"import os, time\nfor n in range(30):\n    print(n)\n{death}\ntime.sleep(5)")
    assert not run.done
    assert run.prints == [[str(n)] for n in range(30)]
    assert run.messages[-1] == run.end


@pytest.mark.row("4", "output printed before a timeout arrives before the error")
def test_output_before_a_timeout_arrives(patient: TaskDesk) -> None:
    run = patient.run("import time\nfor n in range(30):\n    print(n)\ntime.sleep(60)")
    assert run.error["message"] == "Task execution timed out after 3 seconds"
    assert run.prints == [[str(n)] for n in range(30)]
    assert run.messages[-1] == run.end


@pytest.mark.row("4", "continueOnFail: any failure becomes taskdone [{json: {error: message}}]")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('boom')", "boom"),
        ("raise SystemExit(3)", "Process exited with code 3"),
        ("import os\nos._exit(0)", "Task subprocess exited with code 0"),
        ("import os\nos._exit(3)", "Task subprocess exited with code 3"),
        (
            "import os, time\nos.kill(os.getpid(), 9)\ntime.sleep(5)",
            "Process was forcefully killed (SIGKILL)",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["runOnceForAllItems", "runOnceForEachItem"])
def test_continue_on_fail(hasty: TaskDesk, code: str, message: str, mode: str) -> None:
    run = hasty.run(code, continueOnFail=True, nodeMode=mode)
    assert run.result == [{"json": {"error": message}}]


@pytest.mark.row("4", "continueOnFail: a timeout becomes taskdone as well")
def test_continue_on_timeout(hasty: TaskDesk) -> None:
    run = hasty.run(LONG, continueOnFail=True)
    assert run.result == [{"json": {"error": "Task execution timed out after 1 second"}}]


@pytest.mark.row("4", "continueOnFail: a syntax error and a refused import become taskdone as well")
@pytest.mark.parametrize(
    ("code", "part"), [("return (", "never closed"), ("import os", "Security violations detected")]
)
def test_continue_on_fail_before_anything_ran(plain: TaskDesk, code: str, part: str) -> None:
    ((only,),) = [plain.run(code, continueOnFail=True).result]
    assert set(only) == {"json"}
    assert set(only["json"]) == {"error"}
    assert part in only["json"]["error"]


@pytest.mark.row("4", "continueOnFail: changes nothing about a success")
def test_continue_on_fail_of_a_success(plain: TaskDesk) -> None:
    assert plain.result("return [1]", continueOnFail=True) == [1]


@pytest.mark.row("4", "a task that forks ends once, with its own result")
def test_a_fork_that_returns_too_ends_the_task_once(free: TaskDesk) -> None:
    async def count(session: Session) -> list[object]:
        task_id = await session.start("import os\nos.fork()\nprint('both')\nreturn 'one'")
        run = await session.end(task_id)
        await session.fence()
        return [run.result, len(session.peer.seen("runner:taskdone", "runner:taskerror", taskId=task_id))]

    assert free.use(count) == ["one", 1]


@pytest.mark.row("4", "a task that writes to every descriptor it has harms itself at most")
@pytest.mark.parametrize("junk", ["b'\\x00' * 64", "b'\\xff' * 64", "b'{}' * 8", "os.urandom(4096)"])
def test_a_task_that_writes_junk_everywhere(free: TaskDesk, junk: str) -> None:
    code = f"""
import os
for fd in range(3, 64):
    try:
        os.set_blocking(fd, False)
        os.write(fd, {junk})
    except OSError:
        pass
return 'survived'
"""
    run = free.run(code)
    assert run.done or run.error["message"]
    assert free.result("return 'next'") == "next"


@pytest.mark.row("4", "a task that closes every descriptor it has ends with a clear error")
def test_a_task_that_closes_everything(free: TaskDesk) -> None:
    run = free.run("import os\nos.closerange(0, 256)\nreturn 'lost'")
    assert not run.done
    assert run.error["message"]
    assert free.result("return 'next'") == "next"
