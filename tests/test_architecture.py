"""The layers of docs/architecture.md, held on the source text, and proof that every check can fail.

Every import counts: relative ones, those inside functions, those for type checkers only, and calls of
``import_module`` with a literal name. A check is a function from modules to violations, so that it can be
given the package as well as a few lines with a fault planted in them.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "trio_runner"

# A room may import from rooms with a lower number and from itself; rooms of one number know nothing of each
# other.
LEVELS = {
    "errors": 0,
    "protocol": 1,
    "sandbox": 1,
    "scheduling": 2,
    "transport": 3,
    "executor": 3,
    "runner": 4,
    "broker": 4,
    "requester": 4,
    "testing": 4,
    "service": 5,
    "__main__": 6,
}
LONGEST_MODULE = 350

# Third-party modules that belong to one room, because errors and defects are translated at one edge.
AT_HOME_IN = {
    "trio_websocket": "transport",
    "wsproto": "transport",
    "h11": "transport",
    "click": "service",
    "opentelemetry": "service",
    "prometheus_client": "service",
    "rich": "service",
}
# Whoever decides without I/O has no use for these; `now` comes from the caller.
SANS_IO = ("protocol", "scheduling")
IO_MODULES = frozenset(
    "trio trio_websocket anyio asyncio concurrent multiprocessing select selectors socket socketserver ssl"
    " subprocess threading time queue sched http urllib".split()
)
# Who may use threads outside the sandbox, and why.
THREADS_ALLOWED = {
    "trio_runner.service.logs.line_writer": "a pipe whose reader has stopped must not stop the event loop",
    "trio_runner.service.tracing": "the SDK's shutdown knows no limit of time; after the event loop",
    "trio_runner.executor.spawn": "removing directories and walking /proc block, and come in no other form",
}
# Who may read the wall clock, and why: a step of it must change nothing.
WALL_CLOCK_ALLOWED = {
    "trio_runner.service.tracing": "a trace is made of spans from several machines",
    "trio_runner.service.logs.formats": "a person wants to know when it was",
    "trio_runner.executor.scratch_root": "files know no other clock",
    "trio_runner.service.status.places": "files know no other clock",
    "trio_runner.service.status.document": "a snapshot says when it was taken",
    "trio_runner.service.check.broker": "comparing this clock with the broker's is the point",
}
WALL_CLOCKS = ("time.time", "time.time_ns")
THREAD_MODULES = ("threading", "_thread", "concurrent")
BLOCKING_NAMES = ("time.sleep", "trio.to_thread", "trio.from_thread")
SPAWNING_ROOMS = ("executor", "sandbox")
SPAWNING_MODULES = ("subprocess", "multiprocessing")
SPAWNING_CALLS = frozenset(
    f"{module}.{name}"
    for module, names in {
        "os": "fork forkpty posix_spawn posix_spawnp system popen execv execve execvp execvpe spawnv spawnve",
        "trio": "run_process",
        "trio.lowlevel": "open_process",
    }.items()
    for name in names.split()
)

# Test files that follow no single module. Everything else is tests/<room>/test_<module>[_<aspect>].py, where
# modules whose names begin alike (http_server, http_messages) also share test_http_<aspect>.py.
ROOMS_OF_THE_WHOLE = ("conformance", "redteam", "system")
TESTS_OF_THE_WHOLE = {
    "test_architecture.py": "the package as a whole",
    "test_examples.py": "the examples",
    "test_exports.py": "the public names",
    "test_main.py": "the module __main__, under a name that pytest collects",
    "executor/test_executor_contract.py": "one suite over every executor",
    "sandbox/test_perform.py": "sandbox.task in a process of its own",
    "requester/test_with_broker.py": "the requester with the real broker and runners",
}


@attrs.frozen
class Module:
    """One source file of the package."""

    name: str
    source: str
    is_package: bool = False

    @property
    def room(self) -> str:
        """The part below the package; empty for the package itself."""
        return self.name.partition(".")[2].partition(".")[0]

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of its syntax tree, the tree itself first."""
        return parsed(self.source)


@functools.cache
def parsed(source: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(source)))


@attrs.frozen
class Import:
    """One imported thing: `module` as written out in full, `name` if it was taken from that module."""

    module: str
    name: str
    line: int


Modules = Mapping[str, Module]
Check = Callable[[Modules], list[str]]


@functools.cache
def package(name_of_it: str = PACKAGE) -> Modules:
    """Read the real package, or another one beside it."""
    modules: dict[str, Module] = {}
    for path in sorted((ROOT / name_of_it).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules[name] = Module(name, path.read_text(encoding="utf-8"), is_package)
    return modules


def planted(sources: Mapping[str, str]) -> dict[str, Module]:
    """Make a package of a few modules named relative to the package; a trailing dot makes a package."""
    modules = {}
    for short, source in sources.items():
        name = f"{PACKAGE}.{short}".rstrip(".")
        modules[name] = Module(name, source, is_package=short.endswith(".") or not short)
    return modules


# --- what a module imports --------------------------------------------------------------------------


def imports_of(module: Module) -> Iterator[Import]:
    """Every import anywhere in a module, written out in full."""
    for node in module.nodes:
        match node:
            case ast.Import(names):
                for alias in names:
                    yield Import(alias.name, "", node.lineno)
            case ast.ImportFrom(name, names, level):
                source = absolute(module, name or "", level)
                for alias in names:
                    yield Import(source, alias.name, node.lineno)
            case ast.Call(function, [ast.Constant(str(name)), *_]):
                if last_name(function) in {"import_module", "__import__"}:
                    level = len(name) - len(name.lstrip("."))
                    yield Import(absolute(module, name.lstrip("."), level), "", node.lineno)


def absolute(module: Module, name: str, level: int) -> str:
    """Resolve a relative module name of so many dots."""
    if level == 0:
        return name
    parts = module.name.split(".")
    base = parts[: len(parts) - level + module.is_package]
    return ".".join([*base, *([name] if name else [])])


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def own_imports(module: Module, modules: Modules) -> Iterator[tuple[str, Import]]:
    """The imports of a module from this package, each with the module it really means."""
    for found in imports_of(module):
        if found.module.split(".")[0] == PACKAGE:
            submodule = f"{found.module}.{found.name}"
            yield (submodule if submodule in modules else found.module), found


def foreign_imports(module: Module) -> Iterator[Import]:
    """The imports of a module from elsewhere."""
    return (found for found in imports_of(module) if found.module.split(".")[0] != PACKAGE)


# --- the checks -------------------------------------------------------------------------------------


def layers(modules: Modules) -> list[str]:
    """A module imports from lower rooms or its own, and from the package itself only the version."""
    violations = []
    for module in modules.values():
        if not module.room:
            continue
        for target, found in own_imports(module, modules):
            room = target.partition(".")[2].partition(".")[0]
            where = f"{module.name}:{found.line}"
            if not room:
                if found.name != "__version__":
                    violations.append(f"{where} takes {found.name or 'everything'} from the package itself")
            elif room not in LEVELS or module.room not in LEVELS:
                violations.append(f"{where}: no level is given for {room} or {module.room}")
            elif room != module.room and LEVELS[room] >= LEVELS[module.room]:
                violations.append(f"{where} imports {target}: {room} is not below {module.room}")
    return violations


def cycles(modules: Modules) -> list[str]:
    """Nothing imports itself by way of others: no module, and no folder inside a room, taken as one.

    The package itself resolves its names lazily: left out.
    """
    graph = {
        name: {target for target, _ in own_imports(module, modules)} & set(modules) - {PACKAGE}
        for name, module in modules.items()
        if name != PACKAGE
    }
    folders: dict[str, set[str]] = {}
    for name, targets in graph.items():
        folders.setdefault(folder(name), set()).update(map(folder, targets))
    return list(dict.fromkeys([*loops(graph), *loops(folders)]))


def folder(name: str) -> str:
    """The folder inside a room that a module is in; a module that is in none is its own."""
    return ".".join(name.split(".")[:3])


def loops(graph: Mapping[str, set[str]]) -> list[str]:
    """The ways from something by way of others back to itself."""
    finished: set[str] = set()
    violations: list[str] = []

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            violations.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in finished:
            for target in sorted(graph[name] - {name}):
                visit(target, [*path, name])
            finished.add(name)

    for name in graph:
        visit(name, [])
    return violations


def sans_io(modules: Modules) -> list[str]:
    """What decides without I/O imports nothing that waits, sends or knows the time."""
    return [
        f"{module.name}:{found.line} imports {found.module}"
        for module in modules.values()
        if module.room in SANS_IO
        for found in foreign_imports(module)
        if found.module.split(".")[0] in IO_MODULES
    ]


def sandbox_alone(modules: Modules) -> list[str]:
    """The sandbox imports the standard library and itself, nothing of ours and nothing installed."""
    own = f"{PACKAGE}.sandbox"
    violations = []
    for module in (module for module in modules.values() if module.room == "sandbox"):
        for found in imports_of(module):
            inside = found.module == own or found.module.startswith(f"{own}.")
            if not inside and found.module.split(".")[0] not in sys.stdlib_module_names:
                violations.append(f"{module.name}:{found.line} imports {found.module}")
    return violations


def homes(modules: Modules) -> list[str]:
    """A library with a room of its own is imported nowhere else."""
    return [
        f"{module.name}:{found.line} imports {found.module}, which is for {home} alone"
        for module in modules.values()
        for found in foreign_imports(module)
        if (home := AT_HOME_IN.get(found.module.split(".")[0], module.room)) != module.room
    ]


def no_asyncio(modules: Modules) -> list[str]:
    """There is one event loop, and it is trio's."""
    return [
        f"{module.name}:{found.line} imports {found.module}"
        for module in modules.values()
        for found in foreign_imports(module)
        if found.module.split(".")[0] == "asyncio"
    ]


def dotted_uses(module: Module) -> Iterator[tuple[str, int]]:
    """Every ``module.name`` that a module uses, by whatever alias, and every name it imports from one."""
    aliases: dict[str, str] = {}
    for node in module.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                aliases[alias.asname or top] = alias.name if alias.asname else top
    for found in foreign_imports(module):
        if found.name:
            yield f"{found.module}.{found.name}", found.line
    for node in module.nodes:
        if isinstance(node, ast.Attribute):
            head, _, tail = ast.unparse(node).partition(".")
            if head in aliases:
                yield f"{aliases[head]}.{tail}", node.lineno


def offences(module: Module, banned: Iterable[str], calls: Iterable[str]) -> Iterator[str]:
    """Imports of banned modules and uses of banned names in one module."""
    banned, calls = set(banned), set(calls)
    for found in foreign_imports(module):
        if found.module.split(".")[0] in banned:
            yield f"{module.name}:{found.line} imports {found.module}"
    for use, line in dotted_uses(module):
        if use in calls:
            yield f"{module.name}:{line} uses {use}"


def no_blocking(modules: Modules) -> list[str]:
    """Nobody sleeps or starts threads behind trio's back, except in the sandbox and where listed."""
    return [
        offence
        for module in modules.values()
        if module.room != "sandbox" and module.name not in THREADS_ALLOWED
        for offence in offences(module, THREAD_MODULES, BLOCKING_NAMES)
    ]


def one_clock(modules: Modules) -> list[str]:
    """Deadlines and durations are on a monotonic clock."""
    return [
        offence
        for module in modules.values()
        if module.name not in WALL_CLOCK_ALLOWED
        for offence in offences(module, (), WALL_CLOCKS)
    ]


def spawners(modules: Modules) -> list[str]:
    """Only the executor and the sandbox start processes."""
    return [
        offence
        for module in modules.values()
        if module.room not in SPAWNING_ROOMS
        for offence in offences(module, SPAWNING_MODULES, SPAWNING_CALLS)
    ]


def lengths(modules: Modules) -> list[str]:
    """A module that has grown too long to be read in one sitting is two modules."""
    return [
        f"{module.name} has {count} lines, more than {LONGEST_MODULE}"
        for module in modules.values()
        if (count := len(module.source.splitlines())) > LONGEST_MODULE
    ]


def lazy_root(modules: Modules) -> list[str]:
    """Importing the package imports nothing of it: worker processes do, and must stay small."""
    root = modules.get(PACKAGE)
    if root is None:
        return []
    at_run_time = [
        node
        for node in ast.iter_child_nodes(root.nodes[0])
        if isinstance(node, ast.Import | ast.ImportFrom)
        and ast.unparse(node)
        not in {
            "from __future__ import annotations",
            "import importlib",
            "from typing import TYPE_CHECKING, Any",
        }
    ]
    return [f"{PACKAGE}:{node.lineno} runs: {ast.unparse(node)}" for node in at_run_time]


def mirrors(tests: Iterable[str], modules: Iterable[str], listed: Sequence[str]) -> list[str]:
    """Each test file is named for a module, or is listed; and nothing is listed that does not exist.

    Args:
        tests: paths of test files below the directory of tests.
        modules: names of the modules of the package.
        listed: test files that follow no single module.
    """
    tests, known = sorted(tests), set(modules)
    violations = [f"{path} is listed but does not exist" for path in listed if path not in tests]
    for path in tests:
        *rooms, file_name = path.split("/")
        if path in listed or (rooms and rooms[0] in ROOMS_OF_THE_WHOLE):
            continue
        words = file_name.removeprefix("test_").removesuffix(".py").split("_")
        room = ".".join([PACKAGE, *rooms])
        mirrored = any(f"{room}.{'_'.join(words[:length])}" in known for length in range(1, len(words) + 1))
        if not mirrored and not any(name.startswith(f"{room}.{words[0]}_") for name in known):
            violations.append(f"{path} mirrors no module")
    return violations


CHECKS: list[Check] = [
    layers,
    cycles,
    sans_io,
    sandbox_alone,
    homes,
    no_asyncio,
    no_blocking,
    one_clock,
    spawners,
    lengths,
    lazy_root,
]


# --- the package keeps the rules --------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
def test_the_package_keeps_the_rule(check: Check) -> None:
    assert check(package()) == []


def test_the_package_was_found() -> None:
    modules = package()
    assert {f"{PACKAGE}.scheduling.ledger", f"{PACKAGE}.sandbox", PACKAGE} <= set(modules)
    assert {module.room for module in modules.values()} - {""} <= set(LEVELS)


def test_each_test_file_mirrors_a_module() -> None:
    tests = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    # The benchmarks stand beside the package; their tests stand among the others as if in a room of it.
    modules = [*package(), *(f"{PACKAGE}.{name}" for name in package("bench"))]
    assert mirrors(tests, modules, list(TESTS_OF_THE_WHOLE)) == []


def test_tests_are_not_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_modules_listed_as_exceptions_exist_and_need_to_be_listed() -> None:
    modules = package()
    for name in THREADS_ALLOWED:
        assert list(offences(modules[name], THREAD_MODULES, BLOCKING_NAMES)) != []


# --- the checks can fail ----------------------------------------------------------------------------

PLANTED: list[tuple[Check, dict[str, str], str]] = [
    (
        layers,
        {"scheduling.x": "from ..transport import link", "transport.link": ""},
        "transport is not below",
    ),
    (layers, {"scheduling.x": "def f():\n    from ..runner.serve import Runner"}, "scheduling.x:2 imports"),
    (
        layers,
        {"protocol.x": "if TYPE_CHECKING:\n    from trio_runner.scheduling.ledger import Ledger"},
        "scheduling is not below protocol",
    ),
    (layers, {"scheduling.x": "import trio_runner.executor.pool"}, "executor is not below scheduling"),
    (layers, {"executor.x": "from ..transport.link import Link"}, "transport is not below executor"),
    (layers, {"transport.x": "from ..executor import contract"}, "executor is not below transport"),
    (layers, {"runner.x": "from ..broker.serve import serve_broker"}, "broker is not below runner"),
    (layers, {"requester.x": "from ..runner import config"}, "runner is not below requester"),
    (layers, {"testing.": "from ..service import cli"}, "service is not below testing"),
    (layers, {"errors": "from .protocol import codec"}, "protocol is not below errors"),
    (layers, {"scheduling.x": "import_module('trio_runner.service.cli')"}, "service is not below"),
    (layers, {"scheduling.x": "importlib.import_module('..broker', __name__)"}, "broker is not below"),
    (layers, {"scheduling.x": "from .. import Runner"}, "takes Runner from the package itself"),
    (layers, {"scheduling.x": "import trio_runner"}, "takes everything from the package itself"),
    (layers, {"runner.x": "from ..utils import things"}, "no level is given for utils"),
    (layers, {"utils.x": "from ..errors import ConfigError"}, "no level is given for errors or utils"),
    (
        cycles,
        {"runner.a": "from . import b", "runner.b": "from .a import x"},
        "runner.a -> trio_runner.runner.b",
    ),
    (
        cycles,
        {
            "runner.a": "from .b import x",
            "runner.b": "def f():\n    from trio_runner.runner import c",
            "runner.c": "if TYPE_CHECKING:\n    from .a import y",
        },
        "a -> trio_runner.runner.b -> trio_runner.runner.c -> trio_runner.runner.a",
    ),
    (cycles, {"testing.": "from .links import x", "testing.links": "from . import y"}, "testing -> "),
    (
        cycles,
        {
            "service.a.": "",
            "service.a.x": "from ..b.x import f",
            "service.a.y": "",
            "service.b.x": "",
            "service.b.y": "from ..a import y",
        },
        "service.a -> trio_runner.service.b -> trio_runner.service.a",
    ),
    (sans_io, {"scheduling.x": "import trio"}, "scheduling.x:1 imports trio"),
    (sans_io, {"protocol.x": "def f():\n    from trio.lowlevel import checkpoint"}, "imports trio.lowlevel"),
    (sans_io, {"scheduling.x": "import time"}, "imports time"),
    (sans_io, {"protocol.x": "import http.client as client"}, "imports http.client"),
    (sandbox_alone, {"sandbox.x": "from ..errors import ConfigError"}, "imports trio_runner.errors"),
    (sandbox_alone, {"sandbox.x": "from ..protocol.ids import new_id"}, "imports trio_runner.protocol.ids"),
    (sandbox_alone, {"sandbox.x": "import attrs"}, "imports attrs"),
    (sandbox_alone, {"sandbox.x": "def f():\n    import trio"}, "sandbox.x:2 imports trio"),
    (sandbox_alone, {"sandbox.x": "from .. import __version__"}, "imports trio_runner"),
    (homes, {"runner.x": "import trio_websocket"}, "which is for transport alone"),
    (homes, {"broker.x": "from wsproto.events import Ping"}, "imports wsproto.events"),
    (homes, {"runner.x": "import rich"}, "which is for service alone"),
    (no_asyncio, {"service.x": "import asyncio.subprocess"}, "imports asyncio.subprocess"),
    (no_asyncio, {"sandbox.x": "from asyncio import run"}, "imports asyncio"),
    (no_blocking, {"runner.x": "import time\ntime.sleep(1)"}, "runner.x:2 uses time.sleep"),
    (no_blocking, {"runner.x": "import time as t\nt.sleep(1)"}, "uses time.sleep"),
    (no_blocking, {"runner.x": "from time import sleep"}, "runner.x:1 uses time.sleep"),
    (no_blocking, {"runner.x": "import threading"}, "imports threading"),
    (no_blocking, {"executor.x": "from concurrent.futures import ThreadPoolExecutor"}, "imports concurrent"),
    (no_blocking, {"broker.x": "import trio\nawait trio.to_thread.run_sync(f)"}, "uses trio.to_thread"),
    (one_clock, {"broker.x": "import time\ndeadline = time.time() + 1"}, "broker.x:2 uses time.time"),
    (one_clock, {"runner.x": "from time import time_ns"}, "runner.x:1 uses time.time_ns"),
    (spawners, {"runner.x": "import subprocess"}, "imports subprocess"),
    (spawners, {"service.x": "import os\nos.fork()"}, "service.x:2 uses os.fork"),
    (spawners, {"runner.x": "import trio\nawait trio.run_process(x)"}, "uses trio.run_process"),
    (
        spawners,
        {"runner.x": "import trio.lowlevel as low\nlow.open_process(x)"},
        "uses trio.lowlevel.open_process",
    ),
    (spawners, {"runner.x": "import trio\ntrio.lowlevel.open_process(x)"}, "uses trio.lowlevel.open_process"),
    (lengths, {"runner.x": "\n" * (LONGEST_MODULE + 1)}, "has 351 lines"),
    (lazy_root, {"": "from .errors import ConfigError"}, "runs: from .errors import ConfigError"),
    (lazy_root, {"": "import trio"}, "runs: import trio"),
]


@pytest.mark.parametrize(
    ("check", "sources", "violation"),
    PLANTED,
    ids=[f"{check.__name__}-{number}" for number, (check, _, _) in enumerate(PLANTED)],
)
def test_a_planted_violation_is_found(check: Check, sources: dict[str, str], violation: str) -> None:
    found = check(planted(sources))
    assert len(found) == 1
    assert violation in found[0]


def test_every_check_has_a_planted_violation() -> None:
    assert {check.__name__ for check, _, _ in PLANTED} == {check.__name__ for check in CHECKS}


LAWFUL = {
    "": "from typing import TYPE_CHECKING, Any\nif TYPE_CHECKING:\n    from .runner.serve import Runner",
    "errors": "",
    "protocol.codec": "from ..errors import ConfigError\nimport attrs, json\nfrom .messages import x",
    "protocol.messages": "",
    "sandbox.zygote": "import os, threading, time\nfrom . import policy\ntime.sleep(1)\nos.fork()",
    "sandbox.policy": "from __future__ import annotations",
    "scheduling.ledger": "from ..protocol.codec import x\nfrom ..errors import y\nfrom random import Random",
    "transport.link": "import trio_websocket, trio\nfrom ..scheduling import x\nfrom .. import __version__",
    "executor.pool": "from ..sandbox.policy import Policy\nimport subprocess\nimport trio",
    "runner.serve": "from ..executor import pool\nfrom ..transport import x\nimport trio\ntrio.sleep(1)",
    "testing.": "from .links import x",
    "testing.links": "from ..transport.link import y",
    "service.cli": "from ..runner.serve import x\nfrom ..testing import x\nimport click",
    "service.submit.plan": "from .items import x\nfrom ..cli import x\nfrom ... import __version__",
    "service.submit.items": "from ...errors import ConfigError",
    "__main__": "from trio_runner.service.cli import main",
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
def test_what_is_lawful_is_left_alone(check: Check) -> None:
    assert check(planted(LAWFUL)) == []


def test_a_test_file_that_mirrors_nothing_is_found() -> None:
    modules = [f"{PACKAGE}.{name}" for name in ("scheduling.ledger", "errors", "runner.task_scope")]
    modules.append(f"{PACKAGE}.service.submit.plan")
    fine = ["scheduling/test_ledger.py", "scheduling/test_ledger_machine.py", "test_errors.py"]
    fine += ["runner/test_task_scope.py", "conformance/test_anything.py", "test_listed.py"]
    fine += ["runner/test_task_phases.py", "service/submit/test_plan.py", "service/submit/test_plan_x.py"]
    assert mirrors(fine, modules, ["test_listed.py"]) == []
    strays = ["scheduling/test_ledgers.py", "runner/test_ledger.py", "test_ledger.py", "other/test_x.py"]
    strays += ["service/test_plan.py", "service/submit/test_submit.py", "submit/test_plan.py"]
    for stray in strays:
        assert mirrors([stray], modules, []) == [f"{stray} mirrors no module"]
    assert mirrors([], modules, ["test_gone.py"]) == ["test_gone.py is listed but does not exist"]
