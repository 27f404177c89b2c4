"""The run-time half of the check on attributes: what the text of the code does not tell.

A few attributes can be judged only by the object that they are looked up on, because honest code uses the
same names: ``.copy`` is a method of a list and a module that `json` holds, ``.format`` a method with a
template in it, ``.obj`` the object behind an `AttributeError`. So each lookup of such a name in the person's
code becomes a call of a hidden builtin, which hands out what was asked for, refuses it, or hands out a
hardened version. `denied_names` has what is refused whatever the object.
"""

from __future__ import annotations

import ast
import functools
import importlib
import operator
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .analysis import RELATIVE_IMPORT, leaked_module
from .denied_names import denied_identifier
from .format_guard import FORMAT_METHODS, guarded_format
from .policy import Policy, SecurityViolation, remarkable_modules

__all__ = ["GUARDED_NAMES", "HIDDEN_NAME", "AttributeGuard", "guard_attributes"]

HIDDEN_NAME = "<attribute>"
"""What the hidden builtin is called; code cannot spell it."""

# Functions that import what their first argument names, by the module that says it defines them.
_LOADERS = frozenset(
    {
        ("importlib.util", "find_spec"),
        ("pkgutil", "find_loader"),
        ("pkgutil", "get_loader"),
        ("pkgutil", "resolve_name"),
        ("pydoc", "locate"),
        ("runpy", "run_module"),
    }
)
# Functions that load code from wherever they are told to.
_FREE_LOADERS = frozenset(
    {
        ("_frozen_importlib", "module_from_spec"),
        ("_frozen_importlib", "spec_from_loader"),
        ("_frozen_importlib_external", "spec_from_file_location"),
        ("runpy", "run_path"),
    }
)

GUARDED_NAMES = (
    remarkable_modules()
    | FORMAT_METHODS
    | {name for _module, name in _LOADERS | _FREE_LOADERS}
    | frozenset("attrgetter methodcaller import_module loader modules obj".split())
)
"""The attributes that are looked up through the guard."""


def guard_attributes(tree: ast.Module) -> None:
    """Rewrite the lookups of `GUARDED_NAMES` in a tree, in place.

    Inner nodes come first, without recursion: a sum of a thousand terms is an honest tree that deep.
    """
    for node in reversed(list(ast.walk(tree))):
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                value[:] = [_guarded(child) for child in value]
            else:
                setattr(node, field, _guarded(value))


def _guarded(node: object) -> object:
    if not isinstance(node, ast.Attribute) or node.attr not in GUARDED_NAMES:
        return node
    if not isinstance(node.ctx, ast.Load) or isinstance(node.value, ast.Constant):
        return node  # The static check has read the template that a constant is.
    guard = ast.copy_location(ast.Name(id=HIDDEN_NAME, ctx=ast.Load()), node)
    name = ast.copy_location(ast.Constant(value=node.attr), node)
    return ast.copy_location(ast.Call(func=guard, args=[node.value, name], keywords=[]), node)


class AttributeGuard:
    """Looks attributes up for the person's code.

    Args:
        policy: whose allow-lists count.
        import_: the guarded ``__import__``.
    """

    def __init__(self, policy: Policy, import_: Callable[..., ModuleType]) -> None:
        self._policy = policy
        self._import = import_

    def look_up(self, owner: Any, name: str) -> Any:
        """Return an attribute, or what stands for it.

        Raises:
            SecurityViolation: the policy refuses it.
            AttributeError: there is none.
        """
        value = getattr(owner, name)
        if isinstance(value, ModuleType):
            if leak := leaked_module(owner, name, self._policy):
                raise SecurityViolation(str(self._policy.import_fault(leak)))
            return value
        if name in FORMAT_METHODS:
            return guarded_format(owner, name, value)
        if name == "obj" and isinstance(owner, AttributeError):
            raise SecurityViolation("Use of the attribute 'obj' of an exception is disallowed.")
        return self._hardened(owner, name, value)

    def getattr(self, owner: Any, name: str, /, *default: Any) -> Any:
        """Stand in for the builtin of the same name, where that is not denied."""
        if isinstance(name, str):
            _check_name(name)
        try:
            return self.look_up(owner, name)
        except AttributeError:
            if not default:
                raise
            return default[0]

    # --- what could look up or import anything at all ---

    def _hardened(self, owner: object, name: str, value: Any) -> Any:
        if value is operator.attrgetter:
            return self._attrgetter
        if value is operator.methodcaller:
            return self._methodcaller
        if value is importlib.import_module:
            return self._import_module
        if value is sys.modules:
            return _Modules(self._policy)
        if "*" not in self._policy.stdlib_allow:
            return self._without_loading(owner, name, value)
        return value

    def _attrgetter(self, path: str, /, *more: str) -> Callable[[Any], Any]:
        """Stand in for `operator.attrgetter`."""
        operator.attrgetter(path, *more)  # its errors are the real one's
        paths = [each.split(".") for each in (path, *more)]
        for names in paths:
            for name in names:
                _check_name(name)

        def get(owner: Any) -> Any:
            found = tuple(functools.reduce(self.look_up, names, owner) for names in paths)
            return found if more else found[0]

        return get

    def _methodcaller(self, name: str, /, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Stand in for `operator.methodcaller`."""
        operator.methodcaller(name, *args, **kwargs)
        _check_name(name)
        return lambda owner: self.look_up(owner, name)(*args, **kwargs)

    def _import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Stand in for `importlib.import_module`."""
        if name.startswith("."):
            raise SecurityViolation(RELATIVE_IMPORT)
        return self._import(name, None, None, ("__name__",))

    def _without_loading(self, owner: object, name: str, value: Any) -> Any:
        """Return `value`, unless it loads modules: then what judges them first."""
        defined = (getattr(value, "__module__", None), name)
        if defined in _FREE_LOADERS or (name == "loader" and isinstance(owner, ModuleSpec)):
            raise SecurityViolation(f"Use of '{name}' is disallowed: it loads code past the allow-lists.")
        if defined not in _LOADERS:
            return value

        @functools.wraps(value)
        def judging(*args: Any, **kwargs: Any) -> Any:
            for path in (*args[:1], *kwargs.values()):
                if isinstance(path, str) and (why := self._policy.import_fault(path.partition(":")[0])):
                    raise SecurityViolation(why)
            return value(*args, **kwargs)

        return judging


class _Modules(dict[str, ModuleType]):
    """A copy of `sys.modules` that holds what may be imported, and says why something is not in it."""

    def __init__(self, policy: Policy) -> None:
        hidden = "builtins" if policy.builtins_deny else ""
        found = {path: module for path, module in sys.modules.items() if policy.import_fault(path) is None}
        super().__init__({path: module for path, module in found.items() if path != hidden})
        self._policy = policy

    def __missing__(self, path: object) -> ModuleType:
        if path in sys.modules and (why := self._policy.import_fault(str(path))):
            raise SecurityViolation(why)
        raise KeyError(path)


def _check_name(name: str) -> None:
    if denied := denied_identifier(name, attribute=True):
        raise SecurityViolation(
            f"Use of the attribute '{denied}' is disallowed: it reaches into the interpreter."
        )
