"""``__import__`` as the person's code has it: the allow-lists again, at the moment of the import.

Only the person's own import statements are judged here. What a library imports for itself uses the
library's own builtins, so an allowed package may always import what it needs.

C code is the exception: it has no frame, so what it imports while it works for the person's code comes
through here too. `datetime.date.today()` imports ``time`` that way, `strptime` imports ``_strptime``. Such an
import can be told by its arguments, and is let through for what the interpreter's own C code is known to
need, and for anything where external packages are allowed, whose C code may need anything.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from .analysis import RELATIVE_IMPORT, leaked_module
from .attribute_guard import GUARDED_NAMES, HIDDEN_NAME
from .policy import Policy, SecurityViolation

__all__ = ["guarded_import"]

_import = builtins.__import__

# What C code of the standard library imports when called: datetime and time, int, str.encode, pickle.
_NEEDED_BY_C = frozenset(
    "time _strptime _pylong unicodedata warnings copyreg _compat_pickle collections.abc".split()
)


def guarded_import(policy: Policy, visible_builtins: Mapping[str, object]) -> Callable[..., ModuleType]:
    """Return the ``__import__`` for one policy.

    Args:
        policy: whose allow-lists count.
        visible_builtins: what ``import builtins`` is to show, where that module is allowed.
    """

    def import_module(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 the names are the real one's
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level:
            raise SecurityViolation(RELATIVE_IMPORT)
        if not isinstance(name, str):
            raise TypeError(f"module name must be a string, not {type(name).__name__}")
        path = str.__str__(name)
        if _comes_from_c(globals, locals, fromlist) and (path in _NEEDED_BY_C or policy.external_allow):
            return _import(path, None, None, (), 0)
        if why := policy.import_fault(path):
            raise SecurityViolation(why)
        if path == "builtins" and policy.builtins_deny:
            return _view_of_builtins(visible_builtins)
        module = _import(path, None, None, fromlist or (), 0)
        _check_leaks(path, fromlist or (), policy)
        look_up = visible_builtins.get(HIDDEN_NAME)
        if callable(look_up) and fromlist and not GUARDED_NAMES.isdisjoint(fromlist):
            return _view_of(module, fromlist, look_up)
        return module

    return import_module


def _comes_from_c(globals_: object, locals_: object, fromlist: object) -> bool:
    """Tell an import by C code from an import statement, which passes a tuple or None as its list.

    Source: `PyImport_Import` in CPython's import.c passes the globals twice, and an empty list.
    """
    return globals_ is not None and globals_ is locals_ and type(fromlist) is list and not fromlist


def _check_leaks(path: str, names: Sequence[str], policy: Policy) -> None:
    """Refuse ``from json import codecs`` where ``codecs`` itself may not be imported."""
    for name in names:
        if leak := leaked_module(sys.modules.get(path), name, policy):
            raise SecurityViolation(str(policy.import_fault(leak)))


def _view_of(module: ModuleType, names: Sequence[str], look_up: Callable[[Any, str], Any]) -> ModuleType:
    """Return a module for ``from module import names`` to take its names from, as attributes would be."""
    view = ModuleType(module.__name__, module.__doc__)
    vars(view).update({name: look_up(module, name) for name in names if hasattr(module, name)})
    vars(view).update({name: vars(module)[name] for name in ("__file__", "__spec__") if name in vars(module)})
    return view


def _view_of_builtins(visible: Mapping[str, object]) -> ModuleType:
    """Return a module that stands for `builtins` without the denied ones."""
    view = ModuleType("builtins", builtins.__doc__)
    vars(view).update(visible)
    return view
