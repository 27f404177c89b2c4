"""A worker that has done a task, made fit for another one of the same workflow.

Theory of operation. Before its first task the process notes what it is. Afterwards it puts back what can be
put back, lets go of what the code has left to be collected, and looks whether anything is left that cannot be
undone: a thread, an open descriptor, another user, much memory. Then the worker is not fit, and ends as one
does that is used once.

What code has changed inside a module (an attribute, a cache) stays, as do audit hooks: nobody can tell such a
change from what modules do to themselves. So this is no wall, and only tasks of one workflow share a process.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # as in `task`: without turning numbers into enums
import _thread
import builtins
import contextlib
import faulthandler
import gc
import linecache
import os
import resource
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from . import linux
from .reaping import end_children
from .report import CODE_NAME
from .scratch import remove_tree
from .task import refill_reserve, reseed

__all__ = ["Renewal"]

_STDERR = 2
_SOCKET = 3  # the highest descriptor of a worker
# A worker that keeps more than this part of what a task may have is dear to keep: it ends instead.
_SHARE = 8
# Bytes of memory that a task may have where nothing limits it, for that purpose.
_UNLIMITED = 4 * 1024**3
_LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
_SIGNALS = tuple(int(number) for number in signal.valid_signals())
# Whose global names are put back one by one.
_MODULES = (builtins, sys, warnings, tempfile)


class _Switch(NamedTuple):
    """A setting of the interpreter: how it is read, and how it is put back."""

    get: Callable[[], Any]
    put: Callable[[Any], object]


_SWITCHES = (
    _Switch(sys.getrecursionlimit, sys.setrecursionlimit),
    _Switch(sys.getswitchinterval, sys.setswitchinterval),
    _Switch(sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    _Switch(sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth),
    _Switch(sys.get_asyncgen_hooks, lambda hooks: sys.set_asyncgen_hooks(*hooks)),
    _Switch(gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    _Switch(gc.get_threshold, lambda threshold: gc.set_threshold(*threshold)),
    _Switch(gc.get_debug, gc.set_debug),
    _Switch(_thread.stack_size, _thread.stack_size),
    _Switch(socket.getdefaulttimeout, socket.setdefaulttimeout),
    _Switch(faulthandler.is_enabled, lambda on: faulthandler.enable(_STDERR) if on else None),
)


class Renewal:
    """What a worker was before its first task, and the way back there.

    Args:
        scratch: path of its scratch directory, which is empty.
    """

    def __init__(self, scratch: str) -> None:
        import threading  # in the worker, not in the zygote: see there

        self._scratch = scratch
        self._process = os.getpid()
        self._facts = _facts(scratch)
        self._environment = dict(os.environ)
        self._modules = dict(sys.modules)
        self._names = [(vars(module), dict(vars(module))) for module in (*_MODULES, threading)]
        lists: tuple[Any, ...] = (
            sys.path,
            sys.argv,
            sys.meta_path,
            sys.path_hooks,
            sys.warnoptions,
            warnings.filters,
        )
        self._lists = [(current, list(current)) for current in (*lists, gc.callbacks)]
        self._switches = [(switch, switch.get()) for switch in _SWITCHES]
        self._handlers = {number: _signal.getsignal(number) for number in _SIGNALS}
        self._limits = {kind: resource.getrlimit(kind) for kind in _LIMITS}
        self._locale = _locale()

    def renew(self) -> bool:
        """Undo what the last task has changed, and tell whether all of it could be undone.

        If not, nothing but the end of the process must follow.
        """
        try:
            if self._limits[resource.RLIMIT_CPU][0] != resource.RLIM_INFINITY:
                return False  # it counts from the start of the process, and leaves no room to be raised
            self._put_back()  # what hooks and modules hold becomes garbage by this
            gc.collect()  # runs finalisers: once more the code of the task, which may change anything
            if os.getpid() != self._process:
                return False
            self._put_back()
            end_children()
            self._clear_scratch()
            if not self._is_as_before():
                return False
            self._start_anew()
        except BaseException:  # whatever the code has broken: this worker is not fit
            return False
        return os.getpid() == self._process

    # --- what is put back ---

    def _put_back(self) -> None:
        self._put_back_signals()
        _stop_observers()
        for namespace, before in self._names:
            _put_back_names(namespace, before)
        for current, content in self._lists:
            current[:] = content
        getattr(warnings, "_filters_mutated", int)()
        self._put_back_modules()
        for switch, value in self._switches:
            if switch.get() != value:
                switch.put(value)
        self._put_back_environment()
        for kind, limits in self._limits.items():
            if resource.getrlimit(kind) != limits:
                resource.setrlimit(kind, limits)

    def _put_back_signals(self) -> None:
        """Stop timers, drop signals that are pending, and put back the handlers. All signals are blocked."""
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            _signal.setitimer(timer, 0)
        for number in map(int, _signal.sigpending()):
            _signal.signal(number, _signal.SIG_IGN)
        _signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            if _signal.getsignal(number) is handler:
                continue
            if handler is None:  # of the C library's or of `faulthandler`, which puts its own back
                _signal.signal(number, _signal.SIG_DFL)
                faulthandler.disable()
            else:
                _signal.signal(number, handler)

    def _put_back_modules(self) -> None:
        """Keep what the task has imported, but nothing that is the task's own."""
        for name, module in list(sys.modules.items()):
            if name not in self._modules and self._is_the_tasks(module):
                del sys.modules[name]
        sys.modules.update(self._modules)
        sys.modules["__main__"] = ModuleType("__main__")
        for path in [path for path in sys.path_importer_cache if self._is_in_scratch(path)]:
            del sys.path_importer_cache[path]

    def _is_the_tasks(self, module: object) -> bool:
        spec = getattr(module, "__spec__", None)
        places = [getattr(spec, "origin", None), *(getattr(spec, "submodule_search_locations", None) or ())]
        return spec is None or any(map(self._is_in_scratch, places))

    def _is_in_scratch(self, path: object) -> bool:
        return isinstance(path, str) and f"{path}/".startswith(f"{self._scratch}/")

    def _put_back_environment(self) -> None:
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
            time.tzset()
        if _locale() != self._locale:
            import locale

            locale.setlocale(locale.LC_ALL, self._locale)
        os.umask(0o077)

    def _clear_scratch(self) -> None:
        os.chdir(self._scratch)
        tempfile.tempdir = self._scratch
        for name in os.listdir(self._scratch):
            remove_tree(os.path.join(self._scratch, name))

    def _start_anew(self) -> None:
        if (random := sys.modules.get("random")) is not None:
            random.seed()
        reseed()
        refill_reserve()
        linecache.cache.pop(CODE_NAME, None)
        gc.freeze()  # what is left now stays, and need not be looked through after the next task
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())

    # --- what must be as it was ---

    def _is_as_before(self) -> bool:
        threads, memory = _use()
        limit = self._limits[resource.RLIMIT_AS][0]
        share = (_UNLIMITED if limit == resource.RLIM_INFINITY else limit) // _SHARE
        return (
            threads == 1
            and memory <= share
            and not _opened()
            and not os.listdir(self._scratch)
            and _facts(self._scratch) == self._facts
        )


def _put_back_names(namespace: dict[str, Any], before: dict[str, Any]) -> None:
    for name in namespace.keys() - before.keys():
        del namespace[name]
    for name, value in before.items():
        if namespace.get(name, before) is not value:
            namespace[name] = value


def _stop_observers() -> None:
    """Stop whatever is called, or takes notes, while code runs."""
    sys.settrace(None)
    sys.setprofile(None)
    faulthandler.cancel_dump_traceback_later()
    if (tracing := sys.modules.get("tracemalloc")) is not None:
        tracing.stop()
    if (monitoring := getattr(sys, "monitoring", None)) is not None:  # from Python 3.12
        for tool in range(6):
            if monitoring.get_tool(tool) is not None:
                monitoring.set_events(tool, 0)
                monitoring.free_tool_id(tool)


def _locale() -> str:
    """Return the locale of the C library, without what it takes to import `locale`."""
    import _locale

    return _locale.setlocale(_locale.LC_ALL)


def _facts(scratch: str) -> list[object]:
    """Return what a process cannot, or should not, put back when it has changed."""
    facts: list[object] = [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getpgrp(), os.getsid(0)]
    facts += [os.getpriority(os.PRIO_PROCESS, 0), _file("/"), _file(scratch)]
    facts += [(_file(number), os.get_blocking(number)) for number in range(_SOCKET + 1)]
    if hasattr(os, "sched_getaffinity"):
        facts += [os.sched_getaffinity(0), os.sched_getscheduler(0)]
    return facts


def _file(file: int | str) -> tuple[int, ...]:
    found = os.stat(file)
    return found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid


def _opened() -> list[int]:
    """Return the descriptors that have been opened and not closed."""
    names = os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    found = []
    for number in map(int, names):
        if number > _SOCKET:
            with contextlib.suppress(OSError):  # that of the listing itself is closed by now
                os.fstat(number)
                found.append(number)
    return found


def _use() -> tuple[int, int]:
    """Return how many threads this process has, and how many bytes of memory it has resident."""
    if sys.platform != "linux":
        threads = _thread._count() + 1  # noqa: SLF001 - `threading` counts only those of its own
        return threads, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fields = linux.contents("/proc/self/stat").rpartition(b")")[2].split()
    return int(fields[17]), int(fields[21]) * resource.getpagesize()
