"""From the text of a task's code to something that can be called.

The code is the body of a function. It is parsed as it stands, and its statements are put into a function in
the syntax tree, not in the text: every line number and every multi-line string stays the person's own.

* ``from __future__ import …`` moves in front of the function, where Python wants it.
* ``_items``, ``_query`` and ``_item`` are globals, which the body may assign as if they were its own names.
* ``yield`` in the body itself is refused: it would turn the result into an unread generator. ``await`` is a
  syntax error, as in any function that is not async.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import linecache
import re
import warnings
from collections.abc import Iterator, Mapping
from types import CodeType

from .attribute_guard import guard_attributes
from .report import CODE_NAME, Failure, TaskFailed
from .text import cut, source_lines

__all__ = ["call_program", "compile_program", "parse_code", "remember_source"]

_INPUTS = ("_items", "_query", "_item")
_LINE_LIMIT = 200


def parse_code(code: str) -> ast.Module:
    """Parse a task's code, and register it for tracebacks.

    Raises:
        TaskFailed: it is not Python; with the line and what is wrong there.
    """
    lines = remember_source(code)
    if bad := re.search("[\0\ud800-\udfff]", code):
        what = "a null byte" if bad[0] == "\0" else f"half of a surrogate pair (\\u{ord(bad[0]):04x})"
        raise _refusal(f"source code contains {what}", lines, len(source_lines(code[: bad.start()])))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code, CODE_NAME)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _not_python(error, lines) from None


def remember_source(code: str) -> list[str]:
    """Register a task's code for tracebacks, and return its lines."""
    lines = source_lines(code)
    linecache.cache[CODE_NAME] = (len(code), None, [f"{line}\n" for line in lines], CODE_NAME)
    return lines


def compile_program(tree: ast.Module, code: str, *, guarded: bool) -> CodeType:
    """Compile a task's code into a module whose execution defines the function to call.

    Args:
        tree: the parsed code; it is taken apart.
        code: its text, for error messages.
        guarded: whether what the static check cannot see is to be checked at run time.

    Raises:
        TaskFailed: Python refuses the code after all, such as ``break`` outside a loop.
    """
    lines = source_lines(code)
    try:
        if guarded:
            guard_attributes(tree)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: CodeType = compile(_as_function(tree), CODE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _not_python(error, lines) from None
    if any(inner.co_flags & inspect.CO_GENERATOR for inner in _functions_of(program)):
        what = "'yield' outside a function of its own: build a list and return it"
        raise _refusal(what, lines, _own_yield(tree))
    return program


def call_program(program: CodeType, builtins: dict[str, object], inputs: Mapping[str, object]) -> object:
    """Run the code once, in a namespace of its own, and return what it returns."""
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": builtins, **inputs}
    exec(program, namespace)
    function = namespace.pop(CODE_NAME)
    return function()  # type: ignore[operator]


def _as_function(tree: ast.Module) -> ast.Module:
    module = ast.parse("def code(): pass")
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    future = _leading_future_imports(tree.body)
    typed = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    rebindable = ast.Global(names=[name for name in _INPUTS if name not in typed], lineno=1, col_offset=0)
    function.name = CODE_NAME
    if body := [node for node in tree.body if node not in future]:
        function.body = body
    if rebindable.names:
        function.body = [rebindable, *function.body]
    module.body = [*future, function]
    return ast.fix_missing_locations(module)


def _functions_of(program: CodeType) -> Iterator[CodeType]:
    yield from (constant for constant in program.co_consts if isinstance(constant, CodeType))


def _leading_future_imports(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the ``from __future__`` statements that stand where Python allows them."""
    has_docstring = bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    rest = body[1:] if has_docstring else body
    return list(
        itertools.takewhile(
            lambda node: isinstance(node, ast.ImportFrom) and node.module == "__future__", rest
        )
    )


def _own_yield(tree: ast.Module) -> int | None:
    """Return the line of the first ``yield`` that belongs to the body itself, not to a function inside it."""
    waiting: list[ast.AST] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return node.lineno
        inside: set[ast.AST] = set()
        match node:
            case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body):
                inside = set(body)
            case ast.Lambda(body=body):
                inside = {body}
        waiting += [child for child in reversed(list(ast.iter_child_nodes(node))) if child not in inside]
    return None


def _not_python(error: BaseException, lines: list[str]) -> TaskFailed:
    if isinstance(error, SyntaxError):
        return _refusal(error.msg, lines, error.lineno, error.offset, type(error).__name__)
    deep = isinstance(error, MemoryError | RecursionError)  # both are how the parser says so
    return _refusal("the code is nested too deeply for Python" if deep else str(error), lines, None)


def _refusal(
    what: str, lines: list[str], line: int | None, offset: int | None = None, name: str = "SyntaxError"
) -> TaskFailed:
    if line is None or not 1 <= line <= len(lines):
        return TaskFailed(Failure(kind="user-code", message=what, description=name))
    text = lines[line - 1]
    shown = text.lstrip()
    description = f"{name} in line {line}:\n    {cut(shown, _LINE_LIMIT)}"
    column = (offset or 0) - 1 - (len(text) - len(shown))
    if offset and 0 <= column <= _LINE_LIMIT:
        description += f"\n    {' ' * column}^"
    return TaskFailed(
        Failure(kind="user-code", message=f"{what} (line {line})", description=description, line_number=line)
    )
