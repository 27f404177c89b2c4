"""`perform` in a process of its own, where it may change the environment, signals and streams for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from trio_runner.sandbox.framing import FrameKind
from trio_runner.sandbox.policy import Policy

from .running import CLASSES, FREE, Frames

pytestmark = pytest.mark.process

# Each frame is one line on what was stdout. Code that has a handler for SIGUSR1 gets that signal in the
# middle of each of its frames.
WORKER = """
import json, os, signal, sys
from trio_runner.sandbox.policy import Policy
from trio_runner.sandbox.task import enter, perform, reseed

out = os.fdopen(os.dup(1), 'wb', buffering=0)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

def send(kind, payload):
    line = b'%d ' % kind + payload.hex().encode() + b'\\n'
    out.write(line[:5])
    if callable(signal.getsignal(signal.SIGUSR1)):
        os.kill(os.getpid(), signal.SIGUSR1)
    out.write(line[5:])

exec(sys.argv[3])
settings, policy = sys.argv[1].encode(), Policy.from_json(sys.argv[2])
enter(policy)
reseed()
perform(settings, policy, send)
os._exit(0)
"""


def perform(
    code: str, *, policy: Policy = FREE, environment: dict[str, str] | None = None, before: str = ""
) -> Frames:
    """Run one task in a fresh interpreter, after the statements `before`."""
    settings = json.dumps({"code": code, "nodeMode": "runOnceForAllItems", "items": []})
    ended = subprocess.run(
        [sys.executable, "-B", "-c", WORKER, settings, policy.to_json(), before],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    frames: list[tuple[FrameKind, Any]] = []
    for line in ended.stdout.splitlines():
        number, _, digits = line.decode().partition(" ")
        kind, payload = FrameKind(int(number)), bytes.fromhex(digits)
        frames.append((kind, payload if kind is FrameKind.APPROVED else json.loads(payload)))
    return Frames(frames)


SEE_ENVIRONMENT = """
import os, posix
return [dict(os.environ), {key.decode(): 1 for key in posix.environ}, os.getenv('SECRET')]
"""


def test_the_environment_is_the_policys() -> None:
    seen = perform(SEE_ENVIRONMENT, environment={"SECRET": "token"}).result
    assert seen == [{}, {}, None]


def test_the_environment_may_have_something_in_it() -> None:
    policy = Policy(
        stdlib_allow=frozenset("*"), external_allow=frozenset("*"), environment=(("A", "1"), ("TZ", "UTC-3"))
    )
    code = "import os, time\nreturn [dict(os.environ), time.timezone]"
    assert perform(code, policy=policy).result == [{"A": "1", "TZ": "UTC-3"}, -3 * 3600]


def test_the_first_process_is_not_there_to_see() -> None:
    code = (
        "import sys, __main__\nreturn [sys.argv, hasattr(__main__, 'perform'), hasattr(__main__, '__file__')]"
    )
    assert perform(code).result == [[""], False, False]


HANDLER = """
import os, signal
def ring(*args): raise TimeoutError('rang')
signal.signal(signal.SIGUSR1, ring)
"""


def test_a_signal_handler_of_the_codes_own_may_raise() -> None:
    failure = perform(HANDLER + "os.kill(os.getpid(), signal.SIGUSR1)\nfor n in range(10**9): pass").failure
    assert failure["message"] == "rang"


def test_a_signal_does_not_break_into_a_frame() -> None:
    code = """
caught = 0
for n in range(5):
    try:
        print(n)
    except TimeoutError:
        caught += 1
return caught
"""
    frames = perform(HANDLER + code)
    assert frames.prints == [[str(n)] for n in range(5)]
    assert frames.result == 5


def test_a_signal_does_not_break_into_the_end() -> None:
    code = """
class Ringing:
    def __str__(self):
        os.kill(os.getpid(), signal.SIGUSR1)
        return 'text'
"""
    assert perform(HANDLER + code + "return [Ringing()]").result == ["text"]
    assert perform(HANDLER + code + "raise ValueError(Ringing())").failure["message"] == "text"


def test_traces_and_limits_of_the_codes_own_do_not_reach_the_end() -> None:
    code = """
import sys
def trace(*args): raise ValueError('traced')
sys.setrecursionlimit(60)
sys.setprofile(trace) if {profile} else sys.settrace(trace)
"""
    for profile in (True, False):
        frames = perform(code.format(profile=profile))
        assert frames.kinds[-1] in (FrameKind.RESULT, FrameKind.FAILED)
    assert perform("import sys\nsys.setrecursionlimit(60)\nreturn [[[[1]]]]").result == [[[[1]]]]


@pytest.mark.parametrize(
    "end", ["return 'one'", "raise ValueError('child') if child else ValueError('parent')"]
)
def test_a_fork_that_comes_back_is_not_the_task(end: str) -> None:
    code = (
        "import os, sys\nchild = not (pid := os.fork())\nprint('both')\nsys.stdout.write('line\\n')\n"
        "print('aside', file=sys.stderr)\nif pid: os.waitpid(pid, 0)\n" + end
    )
    frames = perform(code)
    assert frames.texts == ["both", "line"]
    assert len(frames.payloads(FrameKind.STARTED)) == 1
    if end.startswith("return"):
        assert frames.result == "one"
    else:
        assert frames.failure["message"] == "parent"


@pytest.mark.parametrize(
    ("end", "status"),
    [("return 1", 0), ("sys.exit()", 0), ("sys.exit(5)", 5), ("sys.exit('text')", 1), ("1 / 0", 1)],
)
def test_a_fork_that_comes_back_ends_as_a_script_would(end: str, status: int) -> None:
    code = (
        "import os, sys\nif pid := os.fork():\n"
        f"    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n{end}"
    )
    assert perform(code).result == status


def test_output_of_a_fork_goes_to_the_descriptors() -> None:
    code = """
import os, sys
read, write = os.pipe()
if pid := os.fork():
    os.close(write)
    os.waitpid(pid, 0)
    return os.read(read, 1000).decode()
os.dup2(write, 1); os.dup2(write, 2)
print('printed', 1)
sys.stdout.write('written\\n')
print('aside', file=sys.stderr)
os._exit(0)
"""
    assert perform(code).result == "printed 1\nwritten\naside\n"


def test_a_thread_that_prints_on_does_not_break_into_the_end() -> None:
    code = """
import threading
talking = threading.Event()
def talk():
    while True:
        print('x')
        talking.set()
threading.Thread(target=talk, daemon=True).start()
talking.wait()
return 'done'
"""
    frames = perform(code)
    assert frames.result == "done"
    assert set(frames.texts[:100]) == {"x"}


SEEDED = """
import sys, types
sys.modules['numpy.random'] = types.SimpleNamespace(seed=lambda: setattr(sys, 'seeded', True))
"""


def test_random_numbers_of_a_library_loaded_before_the_fork_are_seeded_anew() -> None:
    assert perform("import sys\nreturn sys.seeded", before=SEEDED).result is True


def test_what_the_code_replaces_is_not_what_we_use() -> None:
    code = """
import json
json.dumps = json.loads = None
print([1])
return {'a': 1}
"""
    frames = perform(code)
    assert frames.prints == [["[1]"]]
    assert frames.result == {"a": 1}


def test_what_looks_for_its_module_finds_one() -> None:
    code = """
import collections, dataclasses, enum, typing
@dataclasses.dataclass
class Point:
    x: int
    y: typing.ClassVar[int] = 2
class Colour(enum.Enum):
    RED = 1
Pair = collections.namedtuple('Pair', 'a b')
class Typed(typing.NamedTuple):
    n: int
return [str(Point(1)), Colour.RED.name, Pair(1, 2).b, Typed(3).n, Point.__module__]
"""
    assert perform(code).result == ["<code>.<locals>.Point(x=1)", "RED", 2, 3, "__main__"]


MEMORY = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (200 * 1024 ** 2,) * 2)\n"


@pytest.mark.parametrize(
    "code",
    [
        "x = bytearray(1024 ** 3)",
        "x = []\nwhile True: x.append(bytes(1000))",
        "return [{'a': 'x' * 10 ** 7}] * 25",
    ],
)
def test_a_task_out_of_memory_says_so(code: str) -> None:
    failure = perform(MEMORY + code).failure
    assert failure["message"] == "MemoryError"
    assert "more memory than it may use" in failure["description"]


def test_checked_code_runs_the_same() -> None:
    frames = perform("class A:\n    x = '{}'.format(1)\nprint(A.x)\nreturn A.x", policy=CLASSES)
    assert frames.kinds == [FrameKind.STARTED, FrameKind.APPROVED, FrameKind.PRINTED, FrameKind.RESULT]
    assert frames.result == "1"
