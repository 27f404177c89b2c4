"""Fresh state for every task, and an environment that holds nothing: section 4 of the protocol's document."""

from __future__ import annotations

from pathlib import Path

import pytest

from .daemon import open_registered
from .fake_broker import AUTH_TOKEN, Session, fresh_id, open_broker
from .processes import MARK, marked, wait_gone, zombies
from .task_desk import TaskDesk

# Looks for a text in all that a process tells about itself and the processes above it.
SEARCH = """
import os
found = []
def look(name, data):
    if {text!r} in data.replace(chr(0), ' '):
        found.append(name)
look('environ', str(dict(os.environ)))
pid = 'self'
for _ in range(3):
    for name in ('environ', 'cmdline'):
        try:
            look(f'{{pid}}/{{name}}', open(f'/proc/{{pid}}/{{name}}', errors='replace').read())
        except OSError:
            pass
    try:
        pid = open(f'/proc/{{pid}}/stat').read().rpartition(')')[2].split()[1]
    except OSError:
        break
    if pid in ('0', '1') or {depth} <= _ + 1:
        break
return found
"""

# What one task leaves behind, and how the next would see it.
TRACES = [
    ("global left\nleft = 1", "return 'left' in globals()", False),
    ("import builtins\nbuiltins.left = 1", "import builtins\nreturn hasattr(builtins, 'left')", False),
    ("import json\njson.left = 1", "import json\nreturn hasattr(json, 'left')", False),
    ("import json\njson.dumps = None", "import json\nreturn json.dumps([1])", "[1]"),
    ("import sys\nsys.modules['left'] = sys", "import sys\nreturn 'left' in sys.modules", False),
    ("import sys\nsys.path.insert(0, '/left')", "import sys\nreturn '/left' in sys.path", False),
    ("import sys\nsys.setrecursionlimit(5000)", "import sys\nreturn sys.getrecursionlimit() == 5000", False),
    ("import os\nos.environ['LEFT'] = '1'", "import os\nreturn 'LEFT' in os.environ", False),
    ("import os\nos.chdir('/')", "import os\nreturn os.getcwd() == '/'", None),
    ("import os\nos.umask(0o777)", "import os\nreturn os.umask(0o77) == 0o777", False),
    (
        "import os\ntry:\n    open('left', 'w').close()\nexcept OSError:\n    pass",
        "import os\nreturn os.path.exists('left')",
        False,
    ),
    ("import signal\nsignal.alarm(60)", "import signal\nreturn signal.alarm(0)", 0),
    ("import random\nrandom.seed(1)", "import random\nreturn random.random()", None),
    (
        "import locale, decimal\ndecimal.getcontext().prec = 3",
        "import decimal\nreturn decimal.getcontext().prec",
        28,
    ),
    ("import logging\nlogging.root.handlers.append(1)", "import logging\nreturn logging.root.handlers", []),
    ("import socket\nsocket.setdefaulttimeout(1)", "import socket\nreturn socket.getdefaulttimeout()", None),
    ("import gc\ngc.disable()", "import gc\nreturn gc.isenabled()", True),
    ("_items.append(1)", "return len(_items)", 1),
]


@pytest.mark.row(
    "4", "fresh state: nothing of globals, modules, environment, directory, files is seen by the next task"
)
@pytest.mark.parametrize(("leave", "look", "fresh"), TRACES)
def test_the_next_task_starts_fresh(free: TaskDesk, leave: str, look: str, fresh: object) -> None:
    before = free.result(look)
    for _ in range(2):
        assert free.result(f"{leave}\nreturn 'left'") == "left"
    # Several workers may be ready already, so look more than once.
    after = [free.result(look) for _ in range(3)]
    if "random" in look:
        assert len({before, *after}) == 4
    else:
        assert after == [before] * 3
        assert fresh is None or before == fresh


@pytest.mark.row("4", "fresh state: threads of a task do not hold it up or outlive it")
@pytest.mark.parametrize("daemonic", [True, False])
def test_threads_end_with_their_task(free: TaskDesk, daemonic: bool) -> None:
    marker = fresh_id("thread-marker")

    async def run(session: Session) -> tuple[object, list[int]]:
        code = MARK.format(marker=marker) + (
            "import threading, time\n"
            f"threading.Thread(target=time.sleep, args=(60,), daemon={daemonic}).start()\nreturn 'done'"
        )
        result = (await session.run(code)).result
        await wait_gone(marked(marker))
        return result, marked(marker)

    assert free.use(run) == ("done", [])


CHILD = """
import os, time
if os.fork() == 0:
    {detach}
    time.sleep(60)
    os._exit(0)
return 'done'
"""
DETACH = {
    "child": "pass",
    "session": "os.setsid()",
    "daemon": "os.setsid()\n    if os.fork(): os._exit(0)",
}


@pytest.mark.row("4", "fresh state: child processes of a task, daemonised ones too, do not outlive it")
@pytest.mark.parametrize("how", DETACH)
def test_children_end_with_their_task(free: TaskDesk, how: str) -> None:
    marker = fresh_id("child-marker")

    async def run(session: Session) -> object:
        run = await session.run(MARK.format(marker=marker) + CHILD.format(detach=DETACH[how]))
        await wait_gone(marked(marker))
        return run.result

    assert free.use(run) == "done"
    assert marked(marker) == []


# Leaves many children behind, so that their end takes a moment.
CHILDREN = """
import os, time
ready, writing = os.pipe()
for _ in range(60):
    if os.fork() == 0:
        os.setsid()
        held = open('{marker}', 'w')
        os.write(writing, b'.')
        time.sleep(60)
        os._exit(0)
for _ in range(60):
    os.read(ready, 1)
return 'done'
"""
# Returns how many processes hold a marker open, as the task itself sees them.
COUNT = """
import os
count = 0
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        files = [os.readlink(f'/proc/{{pid}}/fd/{{fd}}') for fd in os.listdir(f'/proc/{{pid}}/fd')]
        count += any({marker!r} in name for name in files)
    except OSError:
        pass
return count
"""


@pytest.mark.row("4", "fresh state: the next task of a slot sees no child process of the one before")
async def test_the_next_task_sees_no_children() -> None:
    settings = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": "", "MAX_CONCURRENCY": "1"}
    async with open_broker() as broker, open_registered(broker, **settings) as (_, session):
        seen = []
        for _ in range(12):
            marker = fresh_id("child-marker")
            await session.run(CHILDREN.format(marker=marker))
            seen.append((await session.run(COUNT.format(marker=marker))).result)
        assert seen == [0] * 12


@pytest.mark.row("4", "a task cannot see another that runs beside it")
def test_tasks_side_by_side_do_not_meet(free: TaskDesk) -> None:
    code = """
import os, time, json
name = _items[0]['json']['name']
json.shared = getattr(json, 'shared', []) + [name]
os.environ['SHARED'] = os.environ.get('SHARED', '') + name
try:
    open(name, 'w').close()
except OSError:
    pass
print('wrote')
time.sleep(0.5)
return [json.shared, os.environ['SHARED'], [n for n in os.listdir() if n.startswith('side-')]]
"""
    names = ("side-a", "side-b")

    async def both(session: Session) -> list[tuple[object, object, object]]:
        tasks = [await session.start(code, items=[{"json": {"name": name}}]) for name in names]
        return [(await session.end(task_id)).result for task_id in tasks]

    for name, (shared, variable, files) in zip(names, free.use(both), strict=True):
        assert shared == [name]
        assert variable == name
        assert files in ([], [name])


@pytest.mark.row("4", "environment: empty for user code by default")
def test_the_environment_is_empty(free: TaskDesk) -> None:
    assert free.result("import os\nreturn dict(os.environ)") == {}


@pytest.mark.row(
    "4", "the tokens are never visible: environment and command line of the task's process and of its parent"
)
@pytest.mark.parametrize("depth", [1, 2])
def test_the_token_is_nowhere(free: TaskDesk, depth: int) -> None:
    assert free.result(SEARCH.format(text=AUTH_TOKEN, depth=depth)) == []


@pytest.mark.row("5", "N8N_BLOCK_RUNNER_ENV_ACCESS=false: the environment is visible, the tokens are not")
async def test_the_environment_without_the_tokens(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("grant-in-a-file")
    settings = {
        "N8N_BLOCK_RUNNER_ENV_ACCESS": "false",
        "CONFORMANCE_MARK": "visible",
        "STDLIB_ALLOW": "*",
        "EXTERNAL_ALLOW": "*",
        "BUILTINS_DENY": "",
    }
    async with open_broker() as broker, open_registered(broker, **settings) as (_, session):
        seen = (await session.run("import os\nreturn dict(os.environ)")).result
        assert seen["CONFORMANCE_MARK"] == "visible"
        assert AUTH_TOKEN not in str(seen)
        assert not {name for name in seen if "TOKEN" in name}
        assert (await session.run(SEARCH.format(text=AUTH_TOKEN, depth=2))).result == []
        # The search would find it: what is there is found.
        assert "environ" in (await session.run(SEARCH.format(text="visible", depth=2))).result


@pytest.mark.row("4", "no zombies are left after many tasks, however they ended")
async def test_no_zombies() -> None:
    settings = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": ""}
    async with open_broker() as broker, open_registered(broker, **settings) as (daemon, session):
        codes = [
            "return 1",
            "import os\nos._exit(3)",
            "import os\nos.kill(os.getpid(), 9)",
            "raise ValueError('x')",
        ]
        for code in codes * 5:
            await session.run(code)
        await session.fence()
        assert daemon.below()
        dead = set(zombies(daemon.pid))  # the last ones may be about to be reaped
        for _ in range(5):
            await session.fence()
        assert dead.isdisjoint(zombies(daemon.pid))
