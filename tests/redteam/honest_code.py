"""Honest code, as people write it in such tasks: code and what it returns."""

from __future__ import annotations

from typing import Any

MODULES: dict[str, tuple[str, Any]] = {
    "json": ("import json\nreturn json.loads(json.dumps({'a': [1, 2.5, None]}))", {"a": [1, 2.5, None]}),
    "re": ("import re\nreturn [m.group(1) for m in re.finditer(r'(\\d+)px', '1px 22px')]", ["1", "22"]),
    "datetime": (
        "from datetime import datetime, timedelta\n"
        "when = datetime.strptime(_items[0]['json']['when'], '%Y-%m-%dT%H:%M:%S')\n"
        "return [(when + timedelta(days=1)).strftime('%d %b'), when.date().isoformat(), when.time().hour]",
        ["01 Feb", "2026-01-31", 10],
    ),
    "decimal": (
        "from decimal import ROUND_HALF_UP, Decimal\n"
        "return str((Decimal(_items[0]['json']['price']) * 3).quantize(Decimal('0.1'), rounding=ROUND_HALF_UP))",
        "37.5",
    ),
    "csv": (
        "import csv, io\nrows = list(csv.DictReader(io.StringIO('a,b\\n1,2\\n')))\nout = io.StringIO()\n"
        "csv.writer(out).writerow([1, 'x,y'])\nreturn [rows, out.getvalue()]",
        [[{"a": "1", "b": "2"}], '1,"x,y"\r\n'],
    ),
    "statistics": ("import statistics\nreturn statistics.median([3, 1, 2])", 2),
    "collections": (
        "from collections import Counter, defaultdict\nfrom itertools import groupby\nfrom operator import itemgetter\n"
        "groups = defaultdict(list)\nfor k, v in [('a', 1), ('b', 2), ('a', 3)]: groups[k].append(v)\n"
        "pairs = sorted([('b', 1), ('a', 2)], key=itemgetter(0))\n"
        "return [groups, Counter('aab').most_common(1), [k for k, _ in groupby(pairs, itemgetter(0))]]",
        [{"a": [1, 3], "b": [2]}, [["a", 2]], ["a", "b"]],
    ),
    "hashes": (
        "import base64, hashlib, uuid\n"
        "return [hashlib.sha256(b'x').hexdigest()[:6], base64.b64encode(b'hi').decode(), len(str(uuid.uuid4()))]",
        ["2d7116", "aGk=", 36],
    ),
    "text": (
        "import html, string, textwrap, unicodedata, urllib.parse\n"
        "return [html.escape('<'), string.Template('$a').substitute(a=1), textwrap.shorten('a b c', 3, placeholder=''),\n"
        "    unicodedata.normalize('NFC', 'e\\u0301'), urllib.parse.quote('a b'), '{:>5}'.format('x'), '%05.1f' % 2.25]",
        ["&lt;", "1", "a b", "é", "a%20b", "    x", "002.2"],
    ),
    "templates of its own": (
        "template = '{name} pays {price:>7}'\nreturn [template.format(**i['json']) for i in _items]",
        ["Ada pays   12.50"],
    ),
    "copies": (
        "import copy\na = {'x': [1]}\nb = copy.deepcopy(a)\nb['x'].append(2)\nreturn [a, a.copy() == a]",
        [{"x": [1]}, True],
    ),
    "exceptions": (
        "try:\n    int('x')\nexcept ValueError as error:\n    return [str(error)[:7], error.args != ()]",
        ["invalid", True],
    ),
    "generators": (
        "def f():\n    for n in range(3): yield n * n\nreturn [*f(), sum(x for x in f())]",
        [0, 1, 4, 5],
    ),
    "match": ("match _items[0]['json']:\n    case {'name': str(name)}: return name", "Ada"),
    "threads": (
        "import threading\nfound = []\nlock = threading.Lock()\ndef work(n):\n    with lock: found.append(n * n)\n"
        "threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\nreturn sorted(found)",
        [0, 1, 4, 9, 16, 25, 36, 49],
    ),
    "time zones": (
        "from datetime import datetime\nfrom zoneinfo import ZoneInfo\n"
        "return datetime(2026, 7, 1, 12, tzinfo=ZoneInfo('Europe/Berlin')).utcoffset().total_seconds()",
        7200.0,
    ),
}


CLASSES: dict[str, tuple[str, Any]] = {
    "classes": (
        "class Animal:\n    legs = 4\n    def __init__(self, name): self.name = name\n"
        "    def __repr__(self): return f'<{self.name}>'\n    @property\n    def loud(self): return self.name.upper()\n"
        "class Dog(Animal):\n    def __init__(self, name):\n        super().__init__(name)\n"
        "    def __eq__(self, other): return self.name == other.name\n"
        "d = Dog('rex')\nreturn [repr(d), d.loud, d == Dog('rex'), isinstance(d, Animal), getattr(d, 'legs')]",
        ["<rex>", "REX", True, True, 4],
    ),
    "dataclasses": (
        "from dataclasses import asdict, dataclass, field, replace\n@dataclass(order=True, frozen=True)\nclass Point:\n"
        "    x: int\n    y: int = 0\n    tags: list = field(default_factory=list, compare=False)\n"
        "p = replace(Point(1, 2), y=5)\nmatch p:\n    case Point(x=1, y=found): pass\n"
        "return [asdict(p), found, Point(1) < Point(2), hash(p) == hash(Point(1, 5))]",
        [{"x": 1, "y": 5, "tags": []}, 5, True, True],
    ),
    "enums and named tuples": (
        "from collections import namedtuple\nfrom enum import Enum, auto\nfrom typing import NamedTuple\n"
        "class Colour(Enum):\n    RED = auto()\nclass Pair(NamedTuple):\n    a: int\n    b: str = 'x'\n"
        "return [Colour.RED.name, Pair(1), namedtuple('T', 'q r')(1, 2).r]",
        ["RED", [1, "x"], 2],
    ),
    "context managers": (
        "from contextlib import contextmanager\nfrom functools import lru_cache, wraps\n@contextmanager\ndef opened():\n"
        "    yield 3\n@lru_cache\ndef twice(n): return 2 * n\nwith opened() as n: return twice(n)",
        6,
    ),
    "temporary files": (
        "import os, pathlib, tempfile\nwith tempfile.TemporaryDirectory() as place:\n"
        "    path = pathlib.Path(place) / 'a.txt'\n    path.write_text('héllo')\n    inside = path.read_text()\n"
        "with open('mine.csv', 'w') as file: file.write('1')\n"
        "with tempfile.NamedTemporaryFile() as named: named.write(b'x'); named.flush(); size = os.path.getsize(named.name)\n"
        "return [inside, os.listdir('.'), size, os.path.exists(place)]",
        ["héllo", ["mine.csv"], 1, False],
    ),
}


NUMPY = """\
import numpy as np
a = np.arange(6).reshape(2, 3)
return [a.T.tolist(), float(np.linalg.det(np.eye(3) * 2)), a.mean(axis=0).tolist(), str(a.dtype), a.copy().sum(),
    np.random.default_rng(1).integers(0, 9, 2).shape]
"""
PANDAS = """\
import pandas as pd
frame = pd.DataFrame([item["json"] for item in _items] * 3)
frame["price"] = frame["price"].astype(float)
frame["when"] = pd.to_datetime(frame["when"])
totals = frame.groupby("name")["price"].sum()
merged = frame.merge(pd.DataFrame({"name": ["Ada"], "age": [36]}), on="name")
return [totals.to_dict(), merged["age"].tolist(), frame["when"].dt.strftime("%Y").unique().tolist(),
    frame.describe().loc["max", "price"], frame.head(1)[["name"]].to_dict(orient="records"), frame.to_csv(index=False)[:4]]
"""


REQUESTS = """\
import requests
try:
    answer = requests.post({url!r} + "/a", json={{"n": 1}}, timeout=10)
except requests.ConnectionError:
    return "no connection"
answer.raise_for_status()
return [answer.status_code, answer.json(), answer.ok]
"""


TRUSTED = """\
import os, subprocess, sys
class Anything: pass
done = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
shell = subprocess.run("echo $((1 + 1)) | cat", shell=True, capture_output=True, text=True, check=True)
return [done.stdout, shell.stdout, getattr(Anything, "__name__"), eval("1 + 1")]
"""
