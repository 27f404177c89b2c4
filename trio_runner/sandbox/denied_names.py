"""Names that reach into the interpreter, and where in a piece of code they are refused.

From almost any object a few attributes lead to every loaded module, and so around the allow-lists. These are
refused, with as little harm to honest code as possible:

* Interpreter names (``__globals__``, ``__class__``, …) are refused as whatever identifier they appear:
  attribute, variable, argument, keyword, pattern, definition, imported name. Frame, traceback, generator
  and coroutine attributes (``f_back``, ``gi_frame``, …) only where they are looked up on something: as
  attribute, pattern or imported name. As a variable they are harmless.
* ``_Anything__globals__``, the form in which a name could come out of name mangling, is the same name.
* A string is refused if it is such a name, a dotted path with one in it (what ``operator.attrgetter``
  takes), or a `str.format` template with one in a field. Frame attributes may be a key: ``row["f_code"]``.
* Everything else that merely mentions a name passes: prose, ``"__init__.py"``, JSON text. So do the names
  that tell without leading anywhere: ``__name__``, ``__doc__``, ``__init__``, ``__version__`` and the like.
"""

from __future__ import annotations

import re
from string import Formatter

__all__ = ["FRAME_NAMES", "INTERPRETER_NAMES", "denied_identifier", "denied_in_template", "denied_in_text"]

INTERPRETER_NAMES = frozenset(
    """
    __globals__ __builtins__ __import__ __loader__ __spec__ __subclasses__ __class__ __base__ __bases__
    __mro__ __mro_entries__ __dict__ __dir__ __code__ __closure__ __func__ __self__ __self_class__
    __thisclass__ __objclass__ __wrapped__ __getattribute__ __reduce__ __reduce_ex__ __traceback__
    __init_subclass__ __set_name__ __class_getitem__ __prepare__ __instancecheck__ __subclasscheck__
    __subclasshook__ __defaults__ __kwdefaults__ __annotate__ __type_params__
    """.split()
)

FRAME_NAMES = frozenset(
    """
    f_back f_builtins f_code f_globals f_locals f_trace f_generator tb_frame tb_next
    gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await cr_origin ag_frame ag_code ag_await
    cell_contents co_code co_consts __getstate__
    _getframe _getframemodulename _current_frames _current_exceptions
    """.split()
)

_ENDINGS = tuple(sorted(INTERPRETER_NAMES))
_DOTTED = re.compile(r"\s*\w+(\.\w+)*\s*\Z")

# A field's format spec may hold fields itself; Python allows two levels, deeper ones are an error.
_TEMPLATE_DEPTH = 3


def denied_identifier(name: str, *, attribute: bool) -> str | None:
    """Return the denied name that `name` is, plain or mangled, or None.

    Args:
        name: an identifier.
        attribute: it stands where an attribute is looked up.
    """
    if name in INTERPRETER_NAMES or (attribute and name in FRAME_NAMES):
        return name
    if name[:1] == "_" != name[1:2] and name.endswith(_ENDINGS):
        return next(denied for denied in _ENDINGS if name.endswith(denied))
    return None


def denied_in_text(text: str, *, key: bool = False) -> str | None:
    """Return the denied name that a string constant is, holds as a dotted path or reaches as a template.

    Args:
        text: the constant.
        key: it is a subscript or the key of a dict display, where frame attributes are harmless.
    """
    if "_" not in text:
        return None
    if _DOTTED.match(text):
        for part in text.strip().split("."):
            if denied := denied_identifier(part, attribute=not key):
                return denied
    return denied_in_template(text) if "{" in text else None


def denied_in_template(template: str, depth: int = _TEMPLATE_DEPTH) -> str | None:
    """Return the denied name that a `str.format` template reaches, or None. A broken one reaches nothing."""
    try:
        fields = list(Formatter().parse(template))
    except ValueError:
        return None
    for _literal, field, spec, _conversion in fields:
        for part in re.split(r"[.\[\]]", field or ""):
            if denied := denied_identifier(part, attribute=True):
                return denied
        if spec and depth and (denied := denied_in_template(spec, depth - 1)):
            return denied
    return None
