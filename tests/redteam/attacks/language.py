"""Leaving the language: from harmless objects to the interpreter's own, and from there to files.

Each of them tries to get at ``open``. Where the language is checked it must be refused; where it is not, it
gets its ``open``, and the kernel is what keeps the file from it.
"""

from __future__ import annotations

from typing import Any

from ..attack import REFUSED, Family

LANGUAGE = Family("language escapes", "landlock", "mount-namespace")

_FREE_ENDS = "completed|user-code: |policy: "
_USE = """
try:
    text = opener(S["public"]).read()
except OSError:
    text = ""
return {"reached": True, "text": text}
"""


def _escape(name: str, code: str, **settings: Any) -> None:
    """Add an escape whose code leaves an ``opener`` of files."""
    settings = {"ends": _FREE_ENDS, "ends_checked": REFUSED, **settings}
    start = 'S, B = _items[0]["json"], "__buil" + "tins__"'
    LANGUAGE.bare(name, f"{start}\n{code.strip()}\n{_USE}", **settings)


def _leak(name: str, code: str, **settings: Any) -> None:
    """Add an escape that sees what it must not see, and returns whether it did."""
    settings = {"ends": _FREE_ENDS, "ends_checked": REFUSED, "walls": (), **settings}
    LANGUAGE.bare(name, code.strip(), **settings)


# --- attributes ---
_escape("globals of a function", "opener = (lambda: 0).__globals__[B]['open']")
_escape("globals of print", "opener = print.__globals__[B]['open']")
_escape("the owner of print", "opener = print.__self__._send.__globals__[B]['open']")
_escape(
    "subclasses of object",
    """
for each in ().__class__.__base__.__subclasses__():
    if each.__name__ == '_wrap_close':
        opener = each.__init__.__globals__[B]['open']
""",
)
_escape("a name in full width", "opener = (lambda: 0).__ｇlobals__[B]['open']")
_escape(
    "a method resolution order",
    """
for each in int.__mro__[-1].__subclasses__():
    if each.__name__ == '_wrap_close':
        opener = each.__init__.__globals__[B]['open']
""",
)
_escape("the builtins by name", "opener = __builtins__['open']")
_escape("the loader", "opener = __loader__.load_module('io').open")
_escape("the spec", "opener = __spec__.loader.load_module('io').open")
_escape(
    "the lookup of object itself",
    "opener = ().__class__.__base__.__getattribute__(lambda: 0, '__glo' + 'bals__')[B]['open']",
)
_escape("reduce", "opener = (5).__reduce_ex__(2)[0].__globals__[B]['open']")
_escape(
    "a closure",
    "def f():\n    x = print\n    return lambda: x\nopener = f().__closure__[0].cell_contents.__globals__[B]['open']",
)
_escape("defaults", "def f(x=print): pass\nopener = f.__defaults__[0].__globals__[B]['open']")
_escape(
    "code of a function",
    "f = lambda: len\nf.__code__ = f.__code__.replace(co_names=('open',))\nopener = f()",
)

# --- class patterns ---
_escape(
    "a class pattern",
    """
match (lambda: 0):
    case object(__globals__=names):
        opener = names[B]['open']
""",
)
_escape(
    "a class pattern on an exception",
    """
try:
    1 / 0
except ZeroDivisionError as error:
    match error:
        case ZeroDivisionError(__traceback__=trace):
            opener = trace.tb_frame.f_back.f_builtins['open']
""",
)
_escape(
    "a class pattern with the object of an error",
    """
import json
try:
    json.nothing
except AttributeError as error:
    match error:
        case AttributeError(obj=thing):
            opener = thing.codecs.open
""",
    modules=True,
)
_escape(
    "a class pattern on a module",
    "import json\nmatch json:\n    case object(codecs=found):\n        opener = found.open",
    modules=True,
)

# --- format templates ---
_leak(
    "a format template", "text = '{0.__globals__}'.format(lambda: 0)\nreturn {'reached': 'builtins' in text}"
)
_leak(
    "a template made at run time",
    "template = '{0.__glo' + 'bals__}'\nreturn {'reached': 'builtins' in template.format(lambda: 0)}",
)
_leak(
    "a template through a map",
    "t = ''.join(['{0.__', 'globals', '__}'])\nreturn {'reached': list(map(str.format, [t], [lambda: 0])) != []}",
)
_leak(
    "a template through format_map",
    "template = '{x.__glo' + 'bals__}'\nreturn {'reached': template.format_map({'x': lambda: 0}) != ''}",
)
_leak(
    "a template in a format specification",
    "template = '{0:{1.__glo' + 'bals__}}'\nreturn {'reached': template.format(1, lambda: 0) != ''}",
)
_leak("an f-string", "f = lambda: 0\nreturn {'reached': f'{f.__globals__}' != ''}")
_leak(
    "an f-string in a format specification",
    "f = lambda: 0\nreturn {'reached': f'{1:{f.__globals__}}' != ''}",
)
_escape(
    "the object of an error of a template",
    """
try:
    ('{0.__glo' + 'bals__[__buil' + 'tins__].nothing}').format(lambda: 0)
except AttributeError as error:
    opener = error.obj['open']
""",
)
_leak(
    "string.Formatter",
    "import string\nt = '{0.__glo' + 'bals__}'\nreturn {'reached': string.Formatter().format(t, lambda: 0) != ''}",
    modules=True,
)
_leak(
    "string.Formatter with the template by name",
    "import string\nt = '{0.__glo' + 'bals__}'\nf = string.Formatter().vformat\n"
    "return {'reached': f(format_string=t, args=[lambda: 0], kwargs={}) != ''}",
    modules=True,
)
_escape(
    "the fields of string.Formatter",
    """
import string
names, _ = string.Formatter().get_field('0.__glo' + 'bals__', [lambda: 0], {})
opener = names[B]['open']
""",
    modules=True,
)
_escape(
    "attrgetter on a computed path",
    "import operator\nopener = operator.attrgetter('__glo' + 'bals__')(lambda: 0)[B]['open']",
    modules=True,
)
_escape(
    "attrgetter taken by name",
    "from operator import attrgetter as get\nopener = get('__glo' + 'bals__')(lambda: 0)[B]['open']",
    modules=True,
)
_escape(
    "attrgetter on a constant path",
    "from operator import attrgetter\nopener = attrgetter('__globals__')(lambda: 0)[B]['open']",
    modules=True,
)
_escape(
    "methodcaller",
    "import operator\nget = operator.methodcaller('__getattr' + 'ibute__', '__glo' + 'bals__')\n"
    "opener = get(lambda: 0)[B]['open']",
    modules=True,
)
_leak(
    "methodcaller of format",
    "import operator\nt = '{0.__glo' + 'bals__}'\n"
    "return {'reached': operator.methodcaller('format', lambda: 0)(t) != ''}",
    modules=True,
)

# --- exceptions and frames ---
_escape(
    "the traceback of an exception",
    "try:\n    1 / 0\nexcept Exception as error:\n    opener = error.__traceback__.tb_frame.f_builtins['open']",
)
_escape("the frame of a generator", "g = (x for x in [1])\nopener = g.gi_frame.f_builtins['open']")
_escape(
    "the frame of a running generator",
    "def f():\n    yield g.gi_frame.f_back.f_back.f_globals\ng = f()\nopener = next(g)[B]['open']",
)
_escape("the frame of a coroutine", "async def f(): pass\nc = f()\nopener = c.cr_frame.f_builtins['open']")
_escape(
    "the frame of an asynchronous generator",
    "async def f(): yield 1\nopener = f().ag_frame.f_builtins['open']",
)
_escape(
    "an exception group",
    "try:\n    raise ExceptionGroup('x', [ValueError()])\nexcept* ValueError as group:\n"
    "    opener = group.__traceback__.tb_frame.f_builtins['open']",
)

# --- imports ---
_escape("an import", "import io\nopener = io.open")
_escape("an import in a lambda", "f = lambda: __import__('io').open\nopener = f()")
_escape("a computed import", "opener = __import__('i' + 'o').open")
_escape("an import through a map", "opener = list(map(__import__, ['io']))[0].open")
_escape(
    "an external package", "import trio_runner.sandbox.worker as worker\nopener = worker.tempfile._io.open"
)
_escape(
    "import_module with a computed name",
    "import importlib\nopener = importlib.import_module('i' + 'o').open",
    modules=True,
)
_escape(
    "import_module taken by name",
    "from importlib import import_module\nopener = import_module('io').open",
    modules=True,
)
_escape("__import__ of importlib", "import importlib\nopener = importlib.__import__('io').open", modules=True)
_escape(
    "the machinery of importlib",
    "import importlib.machinery as m\nopener = m.BuiltinImporter.load_module('_io').open",
    modules=True,
)
_escape(
    "the machinery of importlib through a variable",
    "import importlib\ni = [importlib][0]\nopener = i.machinery.BuiltinImporter.load_module('_io').open",
    modules=True,
)
_escape(
    "importlib.util",
    "import importlib.util\nopener = importlib.util.find_spec('io').loader.load_module('io').open",
    modules=True,
)
_escape("the table of modules", "import sys\nopener = sys.modules['i' + 'o'].open", modules=True)
_escape(
    "the table of modules by name", "from sys import modules\nopener = modules['i' + 'o'].open", modules=True
)
_escape("the frames of sys", "import sys\nopener = sys._getframe(1).f_builtins['open']", modules=True)
_escape("a module of a module", "import json\nopener = json.codecs.open", modules=True)
_escape(
    "a module of a module through a variable",
    "import json\nj = [json][0]\nopener = j.codecs.open",
    modules=True,
)
_escape("a module taken from a module", "from json import codecs\nopener = codecs.open", modules=True)
_escape("the state of a module", "import json\nopener = json.__getstate__()['codecs'].open", modules=True)
_escape("the dictionary of a module", "import json\nopener = json.__dict__['codecs'].open", modules=True)

# --- builtins that are denied ---
_DENIED = r"policy: |user-code: (name '\w+' is not defined|__build_class__ not found)"
_escape("eval", "opener = eval('open')", ends_checked=_DENIED)
_escape("exec", "names = {}\nexec('f = open', names)\nopener = names['f']", ends_checked=_DENIED)
_escape("compile", "opener = eval(compile('open', '', 'eval'))", ends_checked=_DENIED)
_escape("getattr", "opener = getattr(lambda: 0, '__glo' + 'bals__')[B]['open']", ends_checked=_DENIED)
_escape("vars", "import json\nopener = vars(json)['codecs'].open", modules=True, ends_checked=_DENIED)
_escape("globals", "opener = globals()[B]['open']", ends_checked=_DENIED)
_escape(
    "type",
    "f = lambda: 0\nfor each in type(f).mro()[0].__dict__.items():\n"
    "    if each[0] == '__glo' + 'bals__': opener = each[1].__get__(f)[B]['open']",
    ends_checked=_DENIED,
)
_escape("open itself", "opener = open", ends_checked=_DENIED)
_escape("a class", "class X:\n    def f(self): return open\nopener = X().f()", ends_checked=_DENIED)
_escape("the help of help", "opener = help.__call__.__globals__[B]['open']", ends_checked=_DENIED)
_leak(
    "the files of the licence",
    """
S = _items[0]["json"]
license._Printer__filenames = [S["public"]]
license._Printer__lines = None
license._Printer__setup()
return {"reached": True, "text": license._Printer__lines}
""",
    walls=("landlock", "mount-namespace"),
    ends_checked=_DENIED,
)
