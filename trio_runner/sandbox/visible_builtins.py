"""The builtins of the person's code: all but the denied ones, with our own ``print`` and ``__import__``."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from .attribute_guard import HIDDEN_NAME, AttributeGuard
from .import_guard import guarded_import
from .policy import Policy

__all__ = ["denied_builtin_hint", "keep_builtins", "visible_builtins"]

# Copying the builtins counts a reference to each of them, which in a forked process copies a page for each.
_kept: list[tuple[Policy, dict[str, object]]] = []


def keep_builtins(policy: Policy, visible: dict[str, object]) -> None:
    """Have the next `visible_builtins` for this very policy take a copy that exists already.

    Args:
        policy: the policy.
        visible: what `visible_builtins` returned, for code that has left it as it was.
    """
    _kept[:] = [(policy, visible)]


def visible_builtins(policy: Policy, print_: Callable[..., None]) -> dict[str, object]:
    """Return the ``__builtins__`` of a task's namespace.

    Args:
        policy: whose deny list counts; a denied ``print`` or ``__import__`` is absent like any other.
        print_: what ``print`` is to be.
    """
    visible = _kept.pop()[1] if _kept and _kept[0][0] is policy else dict(vars(builtins))
    visible["print"] = print_
    visible["__import__"] = import_ = guarded_import(policy, visible)
    if policy.checks_code:
        guard = AttributeGuard(policy, import_)
        visible["getattr"] = guard.getattr
        visible[HIDDEN_NAME] = guard.look_up
    for name in policy.builtins_deny:
        visible.pop(name, None)
    return visible


def denied_builtin_hint(error: BaseException, policy: Policy) -> str:
    """Return why a name is missing if a denied builtin is the reason, else an empty string."""
    name = None
    if isinstance(error, NameError):
        name = error.name or ("__build_class__" if error.args == ("__build_class__ not found",) else None)
    elif isinstance(error, ImportError) and error.args == ("__import__ not found",):
        name = "__import__"
    if name not in policy.builtins_deny:
        return ""
    return f"The builtin '{name}' is denied to tasks. N8N_RUNNERS_BUILTINS_DENY of the runner lists what is."
