"""Loading modules into the zygote, so that its workers have them for nothing.

What is loaded is forked with everything it has started, so a module is fit for it only if it leaves this a
process of one thread and without children. That shows after its import, when it is too late: then the process
is spoilt and must be given up.
"""

from __future__ import annotations

import _thread
import importlib
import importlib.util
import os
import sys

from . import linux

__all__ = ["Spoilt", "load"]

_THREADS = "/proc/self/task"
_LONGEST = 300


class Spoilt(Exception):
    """A module has left something in this process that must not be forked; says what."""


def load(module: str) -> str | None:
    """Import a module.

    Args:
        module: its dotted name.

    Returns:
        Why it was not imported, with nothing changed; None: it was.

    Raises:
        Spoilt: its import failed halfway, or started threads or processes.
    """
    top = module.partition(".")[0]
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        return "it is not installed"
    threads, children, descriptors = _threads(), linux.children(), _descriptors()
    try:
        importlib.import_module(module)
    except BaseException as error:  # whatever it raises is about the module
        raise Spoilt(f"its import raised {type(error).__name__}: {error}"[:_LONGEST]) from None
    if (started := _threads() - threads) > 0:
        raise Spoilt(f"its import starts {started} thread{'s' * (started > 1)}, which a fork would not have")
    if linux.children() - children:
        raise Spoilt("its import starts processes")
    if _descriptors() - descriptors:
        raise Spoilt("its import leaves a file or a connection open, which tasks would not have")
    return None


def _descriptors() -> set[str]:
    try:
        return {name for name in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{name}")}
    except OSError:
        return set()


def _threads() -> int:
    try:
        return len(os.listdir(_THREADS))
    except OSError:
        return _thread._count() + 1  # noqa: SLF001 - `threading` counts only those of its own
