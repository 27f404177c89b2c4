"""Forging, flooding and breaking the way on which prints and results leave."""

from __future__ import annotations

from typing import Any

from ..attack import Evidence, Family

CHANNEL = Family("result channel")

_WRITE = """\
import os
def write(data):
    for descriptor in range(3, 32):
        try: os.write(descriptor, data)
        except OSError: pass
def frame(kind, data):
    return bytes([kind]) + len(data).to_bytes(8, "big") + data
"""
_BROKE = "result: Task broke the connection to its runner"


def _result_is(wanted: Any) -> Any:
    """Return a judge: anything else than this result is a gain."""
    return lambda evidence: [] if evidence.result == wanted else [f"the result {evidence.result!r}"]


def _other_task(evidence: Evidence) -> list[str]:
    return ["had another task's message believed"] if "'other'" in repr(evidence) else []


def _lost_print(evidence: Evidence) -> list[str]:
    return [] if evidence.prints == ("seen",) else ["suppressed a print"]


def _flooded(evidence: Evidence) -> list[str]:
    size = sum(map(len, evidence.prints))
    return [] if len(evidence.prints) <= 101 and size < 10**7 else [f"{size} characters of prints"]


def _long_description(evidence: Evidence) -> list[str]:
    return [] if len(repr(evidence.outcome)) < 200_000 else ["a huge description"]


CHANNEL.bare("garbage to every descriptor", f"{_WRITE}write(b'\\xff' * 1000000)\nreturn 1", ends=_BROKE)
CHANNEL.bare(
    "half a header", f"{_WRITE}write(b'\\x05\\x00')\nreturn 1", ends=f"{_BROKE}|worker-died|result: "
)
CHANNEL.bare(
    "a frame without an end",
    f"{_WRITE}write(b'\\x05' + (10**6).to_bytes(8, 'big'))\nimport time\ntime.sleep(1000)",
    ends="stopped",
    limit=0.5,
)
CHANNEL.bare(
    "a fake frame of each kind",
    f"{_WRITE}for kind in range(256):\n    write(frame(kind, b'{{}}'))\nreturn 1",
    ends=_BROKE,
)
CHANNEL.bare(
    "a fake start with continueOnFail",
    _WRITE + "write(frame(2, b'{\"continueOnFail\": true}'))\n1/0",
    ends=_BROKE,
)
CHANNEL.bare(
    "a fake result, then an exit",
    f"{_WRITE}write(frame(5, b'\"forged\"'))\nos._exit(0)",
    ends="completed|worker-died",
)
CHANNEL.bare(
    "a fake result with another task's message in it",
    _WRITE + 'write(frame(5, b\'{"a":1},"taskId":"other"\'))\nos._exit(0)',
    ends="result: Result is not JSON",
    gain=_other_task,
)
CHANNEL.bare(
    "a fake failure with fields of its own",
    _WRITE
    + 'write(frame(6, b\'{"kind": "runner", "message": 7, "lineNumber": true, "x": 1}\'))\nos._exit(0)',
    ends="user-code: Task failed",
)
CHANNEL.bare(
    "more prints than the console sends",
    _WRITE + 'for _ in range(500): write(frame(4, b\'{"params": [], "text": "x"}\'))\nreturn 1',
    ends=_BROKE,
)
CHANNEL.bare(
    "an early exit with success",
    "import os\nprint('seen')\nos._exit(0)",
    ends="worker-died: Task subprocess exited with code 0",
    gain=_lost_print,
)
CHANNEL.bare("an exit by exception", "raise SystemExit(0)", ends="user-code: Process exited with code 0")
CHANNEL.bare(
    "an exit in a thread",
    "import os, threading, time\nthreading.Thread(target=os._exit, args=(9,)).start()\ntime.sleep(1000)",
    ends="worker-died: Task subprocess exited with code 9",
)
CHANNEL.bare(
    "a million prints",
    "for number in range(1000000): print(number)\nreturn {'got': []}",
    ends="completed",
    gain=lambda evidence: [] if len(evidence.prints) == 101 else [f"{len(evidence.prints)} prints"],
)
CHANNEL.bare(
    "a print of 64 MiB", "print('x' * 64 * 1024**2)\nreturn {'got': []}", ends="completed", gain=_flooded
)
CHANNEL.bare(
    "a thousand large prints",
    "for _ in range(1000): print('x' * 1000000)\nreturn {'got': []}",
    ends="completed",
    gain=_flooded,
)
CHANNEL.bare(
    "a line without an end",
    "import sys\nfor _ in range(3000): sys.stdout.write('x' * 10000)\nreturn {'got': []}",
    ends="completed",
    gain=_flooded,
)
CHANNEL.bare(
    "a flood of standard error",
    "import os, sys\nfor _ in range(3000): sys.stderr.write('x' * 10000)\nos.write(2, b'y' * 1000000)\n1/0",
    ends="user-code: division by zero",
    gain=_long_description,
)
CHANNEL.bare(
    "a description of 64 MiB",
    "raise ValueError('x' * 64 * 1024**2)",
    ends="user-code: xxx",
    gain=_long_description,
)
CHANNEL.bare(
    "a result over the limit",
    "return 'x' * 3000000",
    ends="result: (The r|R)esult is too large: 3000002 bytes of JSON, .*2097152",
)
CHANNEL.bare(
    "not a number",
    "return [{'json': {'a': [1, float('nan')]}}]",
    ends=r"result: The result is not valid JSON: result\[0\]\.json\.a\[1\] is NaN: JSON has no NaN",
)
CHANNEL.bare(
    "infinities as keys and values",
    "return {float('inf'): 1, 'b': float('-inf')}",
    ends="result: The result is not valid JSON: .*Infinity",
)
CHANNEL.bare(
    "half a surrogate pair",
    "return {'got': [], 'text': '\\ud83d', '\\udc00': 1}",
    ends="completed",
    gain=_result_is({"got": [], "text": "\ud83d", "\udc00": 1}),
)
CHANNEL.bare(
    "half a surrogate pair printed and raised",
    "print('\\ud83d', ['\\ud83d'])\nraise ValueError('\\ud83d')",
    ends="user-code: \ud83d",
)
CHANNEL.bare(
    "deep nesting",
    "x = []\nfor _ in range(100000): x = [x]\nreturn x",
    ends="result: The result is nested too deeply for JSON",
)
CHANNEL.bare(
    "nesting that JSON just allows",
    "x = []\nfor _ in range(900): x = [x]\nreturn {'got': [], 'x': x}",
    ends="completed|result: The result is nested too deeply",
)
CHANNEL.bare(
    "a circle",
    "x = []\nx.append(x)\nreturn x",
    ends=r"result: The result is not valid JSON: result\[0\] is circular",
)
CHANNEL.bare(
    "a huge integer as result",
    "return {'a': [1 << 10**6]}",
    ends=r"result: The result is not valid JSON: result\.a\[0\] is an integer of more than 4300 digits",
)
CHANNEL.bare(
    "a huge integer printed",
    "print(1 << 10**6, [1 << 10**6])\nreturn {'got': []}",
    ends="completed|user-code: Exceeds",
)
CHANNEL.bare(
    "an integer of 4000 digits",
    "return {'got': [], 'x': 10**4000}",
    ends="completed",
    gain=_result_is({"got": [], "x": 10**4000}),
)
CHANNEL.bare(
    "keys that are no text",
    "return {(1, 2): 3}",
    ends="result: The result is not valid JSON: result has a key of type tuple",
)
CHANNEL.bare(
    "values that JSON does not know",
    "return {'got': [], 'x': {1}, 'y': b'z', 'z': 1j}",
    ends="completed",
    gain=_result_is({"got": [], "x": "{1}", "y": "b'z'", "z": "1j"}),
)
CHANNEL.bare("no result", "pass", ends="completed", gain=_result_is(None))

_POLICY = {"ends_checked": "policy: "}


def _odd(name: str, body: str, ends: str, **settings: Any) -> None:
    code = f"class Odd:\n    def __str__(self): {body}\n    __repr__ = __str__\nreturn [Odd()]"
    CHANNEL.bare(name, code, ends=ends, **_POLICY, **settings)


_odd(
    "an object whose str() raises",
    "raise ValueError('no')",
    r"result: The result holds a Odd that cannot be written: its str\(\) raised ValueError",
)
_odd("an object whose str() exits", "raise SystemExit(0)", "user-code: Process exited|result: ")
_odd(
    "an object whose str() loops",
    "return ''.join(iter(lambda: '', 'y'))",
    "stopped|user-code: MemoryError",
    limit=0.5,
)
_odd("an object whose str() returns no text", "return 7", "result: ")
CHANNEL.bare(
    "an exception whose str() raises",
    "class Odd(Exception):\n    def __str__(self): raise self\nraise Odd()",
    ends="user-code: Odd",
    **_POLICY,
)
CHANNEL.bare(
    "an exception that is no Exception",
    "class Odd(BaseException): pass\nraise Odd('x')",
    ends="user-code: x",
    **_POLICY,
)
CHANNEL.bare(
    "a dict that changes while it is written",
    """
    class Odd(dict):
        def items(self):
            self.clear()
            return iter([("a", float("nan")), ("a", self)])
    return [Odd(a=1)]
    """,
    ends="result: |completed",
    **_POLICY,
)
CHANNEL.bare(
    "a type with a lying name",
    """
    class Meta(type):
        @property
        def __name__(self): raise SystemExit(1)
    class Odd(metaclass=Meta):
        def __str__(self): raise ValueError
    return [Odd()]
    """,
    ends="result: |user-code: ",
    **_POLICY,
)
CHANNEL.bare(
    "a text that is another text",
    """
    class Odd(str):
        def __str__(self): return "other"
        def encode(self, *args): raise SystemExit
        def replace(self, *args): raise SystemExit
    print(Odd("x"))
    return {"got": [], "x": Odd("x"), Odd("k"): 1}
    """,
    ends="completed",
    gain=_result_is({"got": [], "x": "x", "k": 1}),
    **_POLICY,
)
CHANNEL.bare(
    "json replaced under the writer",
    """
    import json, json.encoder, codecs
    json.JSONEncoder.encode = json.dumps = json.encoder.c_make_encoder = lambda *_: "forged"
    json.JSONEncoder.iterencode = json.encoder.encode_basestring = lambda *_: "forged"
    return {"got": [], "x": [1.5, "y"]}
    """,
    ends="completed",
    gain=_result_is({"got": [], "x": [1.5, "y"]}),
)
CHANNEL.bare(
    "the sandbox replaced under itself",
    """
    import sys
    for name, module in list(sys.modules.items()):
        if name.startswith("trio_runner"):
            for key in list(vars(module)):
                setattr(module, key, None)
    return {"got": [], "x": 1}
    """,
    ends="completed|worker-died|user-code|stopped",
    limit=3.0,
)
CHANNEL.bare(
    "a trace function that meddles with the reply",
    """
    import sys, threading
    def trace(frame, event, argument):
        if frame.f_code.co_name in ("encode_result", "send", "perform"):
            raise SystemExit(0)
        return trace
    sys.settrace(trace)
    sys.setprofile(trace)
    return {"got": []}
    """,
    ends="completed|user-code|worker-died",
)
CHANNEL.bare(
    "threads that keep printing after the end",
    """
    import threading
    def flood():
        while True: print("x" * 1000)
    for _ in range(3):
        threading.Thread(target=flood, daemon=True).start()
    return {"got": []}
    """,
    ends="completed",
)
_CODE = {"ends_checked": "user-code: |worker-died"}
CHANNEL.bare("code with a null byte", "\0", ends="user-code: source code contains a null byte", **_CODE)
CHANNEL.bare(
    "code that nests too deeply", "x = " + "(" * 400 + ")" * 400, ends="user-code: |worker-died", **_CODE
)
CHANNEL.bare(
    "code of very many minus signs", "x = " + "-" * 200000 + "1", ends="user-code: |worker-died: ", **_CODE
)
CHANNEL.bare("code that yields", "yield 1", ends="user-code: 'yield' outside a function", **_CODE)
CHANNEL.bare(
    "code that leaves its function", "return 1\n) + (lambda: 2)()", ends="user-code: unmatched", **_CODE
)
