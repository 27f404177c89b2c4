"""The static check: what the policy refuses, found before any of the person's code runs.

Every finding is reported at once, so that a person fixes the code in one go. The check reads the syntax tree
only; what it cannot see (a module reached through a variable, a computed `str.format` template) the guards at
run time see. `denied_names` documents which names are refused and where.
"""

from __future__ import annotations

import ast
import json
import sys
from _blake2 import blake2b  # `hashlib` would bring OpenSSL into every worker
from collections.abc import Iterator
from types import ModuleType

from .denied_names import denied_identifier, denied_in_text
from .policy import Policy, is_standard_library, remarkable_modules

__all__ = ["DYNAMIC_IMPORT", "RELATIVE_IMPORT", "analyse", "digest", "leaked_module"]

RELATIVE_IMPORT = "Relative imports are disallowed."
DYNAMIC_IMPORT = "Dynamic __import__() calls are not allowed for security reasons."
_CLASSES = (
    "Class definitions are disallowed: the builtin '__build_class__' is denied (N8N_RUNNERS_BUILTINS_DENY)."
)

# Longest chain of attributes in which modules are looked for; real ones are three or four long.
_CHAIN = 10

Finding = tuple[int, str]
"""Line in the person's own code, 1-based, and why."""


def digest(code: str, policy: Policy) -> str:
    """Return the name under which the program made of `code` is remembered: it depends on the policy too."""
    rules = [sorted(policy.stdlib_allow), sorted(policy.external_allow), sorted(policy.builtins_deny)]
    return blake2b(json.dumps([rules, code]).encode("ascii"), digest_size=32).hexdigest()


def analyse(tree: ast.Module, policy: Policy) -> list[Finding]:
    """Return everything in the code that the policy refuses, in the order of its lines."""
    return _Analysis(tree, policy).findings()


def leaked_module(module: object, name: str, policy: Policy) -> str | None:
    """Return the path of the standard-library module that ``module.name`` is, if the policy refuses it.

    Modules keep what they imported as attributes (``json.codecs``); a name that is the module's own submodule
    (``os.path``) is no leak, and between external packages such re-exports are common and honest.
    """
    if not isinstance(module, ModuleType):
        return None
    value = vars(module).get(name)
    if not isinstance(value, ModuleType):
        return None
    path = value.__name__
    if (own := f"{module.__name__}.{name}") in sys.modules:
        return own if policy.import_fault(own) and not policy.import_fault(module.__name__) else None
    top = path.partition(".")[0]
    if not is_standard_library(top) or top == module.__name__.partition(".")[0]:
        return None
    return path if policy.import_fault(path) else None


class _Analysis:
    def __init__(self, tree: ast.Module, policy: Policy) -> None:
        self._tree = tree
        self._policy = policy
        self._modules: dict[str, str] = {}
        self._keys: set[int] = set()
        self._import_calls: set[int] = set()

    def findings(self) -> list[Finding]:
        nodes = list(ast.walk(self._tree))
        for node in nodes:
            self._learn(node)
        found = {
            (getattr(node, "lineno", 1), why): getattr(node, "col_offset", 0)
            for node in nodes
            for why in self._judge(node)
        }
        return [finding for finding, _column in sorted(found.items(), key=lambda pair: (pair[0][0], pair[1]))]

    def _learn(self, node: ast.AST) -> None:
        """Note what the judgement of other nodes depends on: module names, keys, calls of ``__import__``."""
        match node:
            case ast.Import(names=names):
                for alias in names:
                    top = alias.name.partition(".")[0]
                    self._modules[alias.asname or top] = alias.name if alias.asname else top
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    self._modules[alias.asname or alias.name] = f"{module}.{alias.name}"
            case ast.Subscript(slice=ast.Constant() as key):
                self._keys.add(id(key))
            case ast.Dict(keys=keys):
                self._keys.update(id(key) for key in keys)
            case ast.Call(func=ast.Name(id="__import__") as function) if _import_path(node) is not None:
                self._import_calls.add(id(function))

    def _judge(self, node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Import(names=names):
                yield from self._judge_imports([alias.name for alias in names])
            case ast.ImportFrom(level=level) if level:
                yield RELATIVE_IMPORT
            case ast.ImportFrom(module=str(module), names=names):
                yield from self._judge_from(module, [alias.name for alias in names])
            case ast.Call(func=ast.Name(id="__import__")):
                yield from self._judge_imports([path] if (path := _import_path(node)) else [])
            case ast.ClassDef() if "__build_class__" in self._policy.builtins_deny:
                yield _CLASSES
            case ast.Constant(value=str(text)):
                if denied := denied_in_text(text, key=id(node) in self._keys):
                    yield f"Text that names '{denied}' is disallowed: it reaches into the interpreter."
            case ast.MatchClass(cls=cls, kwd_attrs=names):
                yield from self._judge_pattern(cls, names)
            case ast.Attribute(value=value, attr=name):
                leak = leaked_module(self._resolve(value), name, self._policy)
                yield from self._judge_imports([leak] if leak else [])
        yield from self._judge_identifiers(node)

    def _judge_pattern(self, cls: ast.expr, names: list[str]) -> Iterator[str]:
        """Judge what a class pattern looks up, which no guard sees at run time."""
        anything = isinstance(cls, ast.Name) and cls.id == "object"
        anything = anything or (isinstance(cls, ast.Attribute) and cls.attr == "ModuleType")
        for name in names:
            if name == "obj" or (anything and name in remarkable_modules()):
                yield f"Use of the attribute '{name}' in a class pattern is disallowed."

    def _judge_imports(self, paths: list[str]) -> Iterator[str]:
        for path in paths:
            if why := self._policy.import_fault(path):
                yield why

    def _judge_from(self, path: str, names: list[str]) -> Iterator[str]:
        if why := self._policy.import_fault(path):
            yield why
        else:
            module = sys.modules.get(path)
            leaks = [leak for name in names if (leak := leaked_module(module, name, self._policy))]
            yield from self._judge_imports(leaks)

    def _judge_identifiers(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Name) and node.id == "__import__":
            if id(node) not in self._import_calls:
                yield DYNAMIC_IMPORT
            return
        looked_up = isinstance(node, ast.Attribute | ast.MatchClass | ast.alias)
        what = "attribute" if isinstance(node, ast.Attribute | ast.MatchClass) else "name"
        for name in _identifiers(node):
            if denied := denied_identifier(name, attribute=looked_up):
                yield f"Use of the {what} '{denied}' is disallowed: it reaches into the interpreter."

    def _resolve(self, node: ast.expr) -> ModuleType | None:
        """Return the loaded module that a name or a chain of attributes stands for, as far as can be told."""
        names: list[str] = []
        while isinstance(node, ast.Attribute) and len(names) < _CHAIN:
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._modules:
            return None
        module: object = sys.modules.get(self._modules[node.id])
        while names and isinstance(module, ModuleType):
            module = vars(module).get(names.pop())
        return module if isinstance(module, ModuleType) else None


def _identifiers(node: ast.AST) -> Iterator[str]:
    """Yield every identifier that a node itself holds, whatever kind of node it is."""
    if isinstance(node, ast.Constant):
        return
    for _field, value in ast.iter_fields(node):
        for name in value if isinstance(value, list) else (value,):
            if isinstance(name, str):
                yield from name.split(".")


def _import_path(call: ast.Call) -> str | None:
    """Return the module that a call of ``__import__`` names with a constant, or None if it is computed."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    first = call.args[0] if call.args else named.get("name")
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return None
