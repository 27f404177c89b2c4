"""What an attack is: code, how it must end, and how to tell what it got.

An attack is data. Its code runs as a task; ``S`` holds what an attacker would find out about the stage (where
the bait lies, who its neighbours are). ``attempt`` tries one thing and notes whether it worked: what a task
returns in ``got`` is what the attacker has in hand. An attack that the walls stop has got nothing.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from trio_runner.scheduling.outcome import Cancelled, Completed, Outcome, describe, error_kind

__all__ = ["NEEDLE", "REFUSED", "Attack", "Evidence", "Family", "ending", "loot", "mentions_token"]

NEEDLE = "redteam-token"
"""How every secret of the stage begins."""

REFUSED = r"policy: Security violations? detected"
"""How a task ends that the language layer refuses."""

PRELUDE = f"""\
import ctypes, os, signal, socket, sys, threading, time
S = _items[0]["json"]
try: ctypes.CDLL(None).prctl(15, S["mark"].encode(), 0, 0, 0)
except Exception: pass
got, stopped = [], []
def attempt(what, call, *arguments, **keywords):
    try:
        value = call(*arguments, **keywords)
    except BaseException as error:
        number = getattr(error, "errno", None)
        stopped.append(what + ": " + type(error).__name__ + (" " + str(number) if number else ""))
        return None
    text = repr(value)
    got.append(what + (" with a token" if "{NEEDLE}" in text else "") + ": " + text[:100])
    return value
def read(path):
    with open(path, "rb") as file:
        return file.read(1000000)
def libc(name, *arguments):
    library = ctypes.CDLL(None, use_errno=True)
    value = getattr(library, name)(*arguments)
    if value == -1:
        raise OSError(ctypes.get_errno(), name)
    return value
SYS = {{
    "pivot_root": (155, 41), "pidfd_getfd": (438, 438), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "reboot": (169, 142), "init_module": (175, 105), "kexec_load": (246, 104),
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "perf_event_open": (298, 241),
    "rt_sigqueueinfo": (129, 138), "mq_open": (240, 180), "mq_unlink": (241, 181),
}}
def syscall(name, *arguments):
    return libc("syscall", SYS[name][os.uname().machine == "aarch64"], *arguments)
"""
_LOOT = "return {'got': got, 'stopped': stopped}"


@attrs.frozen
class Evidence:
    """What was seen of one attack.

    Attributes:
        outcome: how its task ended.
        prints: what it printed.
        sequel: the decoded result of the task that came after it, if the attack has one.
    """

    outcome: Outcome
    prints: tuple[str, ...] = ()
    sequel: Any = None

    @property
    def result(self) -> Any:
        """The decoded result; None if there is none."""
        return self.outcome.result.decode() if isinstance(self.outcome, Completed) else None


Gain = Callable[[Evidence], Iterable[str]]


@attrs.frozen(kw_only=True)
class Attack:
    """One hostile or broken task.

    Attributes:
        name: unique; says what is tried.
        family: the kind of harm.
        code: the task's code as it runs.
        ends: regular expression for `ending` while the walls stand and both allow-lists are ``*``.
        ends_checked: the same while the language is checked and nothing may be imported.
        walls: the walls that should stop it, each of them alone; empty if it is no wall's business.
        gain: what the attacker got, from what was seen; what every attack is judged by comes on top.
        setting: which executor it runs on, see `settings.py`.
        limit: seconds after which it is stopped.
        finish: how it is ended that does not end by itself: ``limit``, ``ready`` (cancelled once it says so),
            ``close`` (its executor is closed), ``kill`` (its runner is killed).
        sequel: code of the next task, whose ``got`` counts as the attacker's.
        modules: where the language is checked, some modules may be imported, see `settings.py`.
    """

    name: str
    family: str
    code: str
    ends: str
    ends_checked: str
    walls: tuple[str, ...] = ()
    gain: Gain | None = None
    setting: str = "free"
    limit: float = 40.0
    finish: str = "limit"
    sequel: str = ""
    modules: bool = False

    @property
    def refused_when_checked(self) -> bool:
        """Whether none of it runs, or not to its end, where the language is checked."""
        return self.ends_checked.startswith("policy: ")


class Family:
    """Collects the attacks of one family.

    Args:
        name: of the family.
        walls: the walls that should stop its attacks, where an attack does not say.
    """

    def __init__(self, name: str, *walls: str) -> None:
        self.attacks: list[Attack] = []
        self._name = name
        self._walls = walls

    def add(self, name: str, code: str, *, ends: str = "completed", **settings: Any) -> None:
        """Add an attack whose code uses `PRELUDE` and returns its loot at the end."""
        self.bare(name, f"{PRELUDE}{_dedented(code)}\n{_LOOT}\n", ends=ends, **settings)

    def bare(self, name: str, code: str, *, ends: str, **settings: Any) -> None:
        """Add an attack whose code is all there is."""
        if "sequel" in settings:
            settings["sequel"] = f"{PRELUDE}{_dedented(settings['sequel'])}\n{_LOOT}\n"
        settings.setdefault("walls", self._walls)
        settings.setdefault("ends_checked", REFUSED if "import " in code else ends)
        attack = Attack(name=name, family=self._name, code=_dedented(code), ends=ends, **settings)
        self.attacks.append(attack)


def _dedented(code: str) -> str:
    return textwrap.dedent(code).strip("\n")


def ending(outcome: Outcome) -> str:
    """Return in one line how a task ended: whose fault, and the message; ``completed`` for a result."""
    if isinstance(outcome, Completed):
        return "completed"
    if isinstance(outcome, Cancelled):
        return "stopped"
    message, description = describe(outcome)
    return f"{error_kind(outcome)}: {message}: {description}"


def loot(value: Any) -> list[str]:
    """Return what a task says it got."""
    if isinstance(value, Mapping) and isinstance(value.get("got"), list):
        return [str(each) for each in value["got"]]
    return []


def mentions_token(evidence: Evidence) -> bool:
    """Whether a secret is in anything that the attacker sees."""
    seen = [json.dumps(evidence.result), json.dumps(evidence.sequel), *evidence.prints]
    if not isinstance(evidence.outcome, Completed):
        seen += describe(evidence.outcome)
    return any(f"{NEEDLE}-" in text for text in seen)
