"""What a worker puts back after a task, and what it does not: then it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_runner.sandbox.config import Limits, SandboxConfig
from trio_runner.sandbox.framing import HEADER, FrameKind, pack_header, unpack_header
from trio_runner.sandbox.policy import Policy

from .zygotes import FREE, HeldWorker, HeldZygote

pytestmark = pytest.mark.process

FIRST, SECOND = b"1" * 16, b"2" * 16


class Stream:
    """A conversation with a worker that is told to stay."""

    def __init__(self, worker: HeldWorker) -> None:
        self._channel = worker.channel

    def send(self, code: str, nonce: bytes = FIRST) -> None:
        """Send a task after which the worker is to stay."""
        settings = json.dumps({"code": code, "nodeMode": "runOnceForAllItems", "items": []}).encode()
        self._channel.sendall(
            pack_header(FrameKind.KEEP, len(nonce))
            + nonce
            + pack_header(FrameKind.TASK, len(settings))
            + settings
        )

    def run(self, code: str, nonce: bytes = FIRST) -> object:
        """Run a task and return its result."""
        self.send(code, nonce)
        assert self.receive() == (FrameKind.READY, nonce)
        while True:
            kind, payload = self.receive()
            if kind in (FrameKind.RESULT, FrameKind.FAILED):
                return json.loads(payload)

    def receive(self) -> tuple[FrameKind | None, bytes]:
        """Return the next frame; None: the worker has hung up."""
        header = self._receive(HEADER.size)
        if not header:
            return None, b""
        kind, length = unpack_header(header)
        return kind, self._receive(length)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self._channel.recv(size - len(data))):
            data += more
        return data


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldZygote]:
    """A zygote without walls, whose tasks may do what they like."""
    with HeldZygote(tmp_path_factory.mktemp("scratch")) as held:
        yield held


@pytest.fixture
def stream(zygote: HeldZygote) -> Iterator[Stream]:
    """A worker of that zygote."""
    worker = zygote.fork()
    yield Stream(worker)
    worker.channel.close()
    zygote.ended()


# What a task changes, and an expression over it.
PUT_BACK = {
    "environment": ("os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()", "[dict(os.environ), time.timezone]"),
    "working directory": ("os.mkdir('x'); os.chdir('x')", "os.getcwd()"),
    "umask": ("os.umask(0)", "os.umask(0o077)"),
    "scratch directory": ("os.makedirs('a/b'); open('a/b/c', 'w').close()", "os.listdir()"),
    "place of temporary files": ("tempfile.tempdir = '/'", "tempfile.gettempdir()"),
    "builtins": ("builtins.hash = max; builtins.mine = 1", "[str(hash), hasattr(builtins, 'mine')]"),
    "a builtin that is gone": ("del builtins.sorted", "sorted([2, 1])"),
    "recursion limit": ("sys.setrecursionlimit(5000)", "sys.getrecursionlimit()"),
    "switch interval": ("sys.setswitchinterval(1)", "sys.getswitchinterval()"),
    "sys.path": ("sys.path[:] = ['/nowhere']; sys.path = []", "sys.path"),
    "sys.argv": ("sys.argv.append('x')", "sys.argv"),
    "sys.meta_path": ("sys.meta_path.insert(0, object())", "[str(finder) for finder in sys.meta_path]"),
    "sys.excepthook": ("sys.excepthook = None", "sys.excepthook is sys.__excepthook__"),
    "sys.displayhook": ("sys.displayhook = None", "str(sys.displayhook)"),
    "names in sys": ("sys.mine = 1", "hasattr(sys, 'mine')"),
    "threading.excepthook": ("threading.excepthook = None", "str(threading.excepthook)"),
    "trace function": ("sys.settrace(lambda *_: None)", "str(sys.gettrace())"),
    "trace function of threads": ("threading.settrace(print)", "str(threading._trace_hook)"),
    "__main__": ("sys.modules['__main__'].mine = 1", "hasattr(sys.modules['__main__'], 'mine')"),
    "modules that are gone": ("del sys.modules['json']", "'json' in sys.modules"),
    "modules that are none": ("sys.modules['mine'] = types.ModuleType('mine')", "'mine' in sys.modules"),
    "modules of its own": (
        "open('own.py', 'w').close(); sys.path.insert(0, os.getcwd()); import own",
        "['own' in sys.modules, os.getcwd() in sys.path_importer_cache]",
    ),
    "warnings": ("warnings.simplefilter('error')", "len(warnings.filters)"),
    "collector": ("gc.disable(); gc.set_threshold(5); gc.callbacks.append(print)",
                  "[gc.isenabled(), gc.get_threshold(), len(gc.callbacks)]"),
    "time-out of sockets": ("socket.setdefaulttimeout(1)", "socket.getdefaulttimeout()"),
    "size of stacks": ("threading.stack_size(2**20)", "threading.stack_size()"),
    "decimal context": ("decimal.getcontext().prec = 3", "decimal.getcontext().prec"),
    "locale": ("locale.setlocale(locale.LC_ALL, 'C.UTF-8')", "locale.setlocale(locale.LC_ALL)"),
    "crash reports": ("faulthandler.disable()", "faulthandler.is_enabled()"),
    "signal handlers": ("signal.signal(15, lambda *_: None)", "str(signal.getsignal(15))"),
    "a handler of crashes": (
        "signal.signal(11, print)",
        "[str(signal.getsignal(11)), faulthandler.is_enabled()]",
    ),
    "signal mask": ("signal.pthread_sigmask(0, [10, 15])", "sorted(signal.pthread_sigmask(0, []))"),
    "a signal that waits": ("signal.pthread_sigmask(0, [15]); os.kill(os.getpid(), 15)", "1"),
    "timers": ("signal.signal(14, print); signal.setitimer(0, 500)", "signal.getitimer(0)"),
    "a timer that is up": ("signal.signal(14, print); signal.setitimer(0, 1e-6)", "signal.getitimer(0)"),
    "soft limits": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (50, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
    ),
    "children": (
        "os.fork() or time.sleep(1000)",
        "len(open('/proc/thread-self/children').read())",
    ),
    "what is in a cycle": (
        "it = [open('/dev/null')]; it.append(it)",
        "len(os.listdir('/proc/self/fd'))",
    ),
    "standard streams": (
        "sys.stdout = sys.__stdout__ = sys.stderr = None",
        "[type(sys.stdout).__name__, sys.stderr.name]",
    ),
    "a finaliser that changes things": (
        "exec('class It:\\n def __del__(self): builtins.len = max', globals())\nit = It()\nit.self = it",
        "len('abc')",
    ),
}  # fmt: skip
IMPORTS = (
    "import builtins, decimal, faulthandler, gc, locale, os, resource, signal, socket, sys, tempfile,"
    " threading, time, types, warnings\nimport json\n"
)


@pytest.mark.parametrize(("change", "seen"), PUT_BACK.values(), ids=PUT_BACK)
def test_what_a_task_changes_is_put_back(stream: Stream, change: str, seen: str) -> None:
    look = f"{IMPORTS}return [os.getpid(), {seen}]"
    before = stream.run(look)
    assert stream.receive() == (FrameKind.READY, FIRST)
    changed = stream.run(f"{IMPORTS}{change}\nreturn 'changed'")
    assert changed == "changed"
    assert stream.receive() == (FrameKind.READY, FIRST)
    assert stream.run(look, SECOND) == before


CANNOT_BE_UNDONE = {
    "a thread": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "a native thread": "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\n"
    "_thread.start_new_thread(lock.acquire, ())",
    "a child that is talked to": "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)",
    "an open file": "import sys\nsys.modules['json'].mine = open('/dev/null')",
    "a replaced descriptor": "import os\nos.dup2(os.open('/dev/zero', 0), 0)\nos.closerange(4, 99)",
    "niceness": "import os\nos.nice(1)",
    "the scheduler": "import os\nos.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
    "broken tools": "import gc\ngc.collect = None\nimport os\nos.listdir = None",
    "mode of the directory": "import os\nos.chmod('.', 0o777)",
}


@pytest.mark.parametrize("code", CANNOT_BE_UNDONE.values(), ids=CANNOT_BE_UNDONE)
def test_a_worker_ends_when_something_cannot_be_undone(stream: Stream, code: str) -> None:
    assert stream.run(f"{code}\nreturn 1") == 1
    assert stream.receive() == (None, b"")


def test_random_numbers_are_new(stream: Stream) -> None:
    drawn = []
    for nonce in (FIRST, SECOND):
        drawn.append(
            stream.run("import random\nnumber = random.random()\nrandom.seed(1)\nreturn number", nonce)
        )
        assert stream.receive() == (FrameKind.READY, nonce)
    assert stream.run("import random\nreturn random.random()") not in drawn
    assert drawn[1] != drawn[0]
    assert 0.13436424411240122 not in drawn, "what comes after seed(1)"


def test_a_failure_can_be_told_of_each_time(stream: Stream) -> None:
    for nonce in (FIRST, SECOND, FIRST):
        failure = stream.run("raise MemoryError", nonce)
        assert isinstance(failure, dict)
        assert failure["kind"] == "user-code"
        assert stream.receive() == (FrameKind.READY, nonce)


def test_what_is_imported_stays(stream: Stream) -> None:
    assert stream.run("import sys, colorsys\nreturn 'colorsys' in sys.modules") is True
    assert stream.receive() == (FrameKind.READY, FIRST)
    assert stream.run("import sys\nreturn 'colorsys' in sys.modules", SECOND) is True


def test_code_is_analysed_once_by_a_worker(tmp_path: Path) -> None:
    with HeldZygote(tmp_path, Policy()) as zygote:
        worker = zygote.fork()
        stream = Stream(worker)
        sizes = []
        for nonce in (FIRST, SECOND):
            stream.send("return 1", nonce)
            frames = [stream.receive() for _ in range(5)]
            assert [kind for kind, _ in frames] == [
                FrameKind.READY, FrameKind.STARTED, FrameKind.APPROVED, FrameKind.RESULT, FrameKind.READY
            ]  # fmt: skip
            sizes.append(len(frames[2][1]))
        assert sizes[0] > sizes[1] == 64
        stream.send("import os", FIRST)
        kinds = [stream.receive()[0] for _ in range(4)]
        assert kinds == [FrameKind.READY, FrameKind.STARTED, FrameKind.FAILED, FrameKind.READY], (
            "rules still hold"
        )


def test_behind_all_walls_of_this_machine(tmp_path: Path) -> None:
    with HeldZygote(tmp_path, FREE, SandboxConfig()) as zygote:
        worker = zygote.fork()
        stream = Stream(worker)
        code = "import os\nold = os.listdir()\nopen('x', 'w').close()\nreturn [os.getpid(), old]"
        first = stream.run(code)
        assert stream.receive() == (FrameKind.READY, FIRST)
        assert stream.run(code, SECOND) == first
        assert stream.receive() == (FrameKind.READY, SECOND)
        assert isinstance(first, list)
        assert first[1] == []


def test_a_worker_that_keeps_much_memory_ends(tmp_path: Path) -> None:
    with HeldZygote(tmp_path, FREE, SandboxConfig(limits=Limits(memory=512 * 1024**2))) as zygote:
        stream = Stream(zygote.fork())
        assert stream.run("return len(b'x' * 100 * 1024**2)") == 100 * 1024**2
        assert stream.receive() == (FrameKind.READY, FIRST), "it has given it back"
        assert stream.run("import json\njson.mine = b'x' * 100 * 1024**2\nreturn 1") == 1
        assert stream.receive() == (None, b"")


def test_a_limit_of_processor_time_is_for_one_task(tmp_path: Path) -> None:
    with HeldZygote(tmp_path, FREE, SandboxConfig(limits=Limits(cpu=9))) as zygote:
        stream = Stream(zygote.fork())
        assert stream.run("return 1") == 1
        assert stream.receive() == (None, b"")


@pytest.mark.parametrize("how", ["", "os._exit(0)"])
def test_a_process_that_a_finaliser_forks_takes_no_tasks(
    zygote: HeldZygote, stream: Stream, how: str
) -> None:
    code = f"""\
import os
class It:
    def __del__(self):
        if os.fork() == 0:
            {how or "pass"}
it = It()
it.self = it
return os.getpid()
"""
    pid = stream.run(code)
    assert stream.receive() == (FrameKind.READY, FIRST)
    assert stream.run("import os\nreturn os.getpid()", SECOND) == pid
    assert stream.receive() == (FrameKind.READY, SECOND)
    assert Path(f"/proc/{pid}").exists()
