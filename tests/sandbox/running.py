"""Runs one task in this process, without the changes that `perform` makes to a process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from trio_runner.sandbox.framing import FrameKind
from trio_runner.sandbox.policy import Policy
from trio_runner.sandbox.task import run_task

NONE: Mapping[str, bytes] = MappingProxyType({})
"""No program is known from an earlier task."""

ALL = "runOnceForAllItems"
EACH = "runOnceForEachItem"

FREE = Policy(stdlib_allow=frozenset("*"), external_allow=frozenset("*"), builtins_deny=frozenset())
"""A policy that refuses nothing."""

CLASSES = Policy(builtins_deny=frozenset())
"""A policy that checks code, but denies no builtin."""


@dataclasses.dataclass
class Frames:
    """The frames of one task, decoded."""

    frames: list[tuple[FrameKind, Any]]

    @property
    def kinds(self) -> list[FrameKind]:
        """What was sent, in order."""
        return [kind for kind, _payload in self.frames]

    def payloads(self, kind: FrameKind) -> list[Any]:
        """The payloads of one kind, in order."""
        return [payload for found, payload in self.frames if found is kind]

    @property
    def prints(self) -> list[list[str]]:
        """The params of each call of print."""
        return [payload["params"] for payload in self.payloads(FrameKind.PRINTED)]

    @property
    def texts(self) -> list[str]:
        """The plain line of each call of print."""
        return [payload["text"] for payload in self.payloads(FrameKind.PRINTED)]

    @property
    def result(self) -> Any:
        """The result; the task must have had one."""
        assert self.kinds[-1] is FrameKind.RESULT, self.frames[-1]
        return self.frames[-1][1]

    @property
    def failure(self) -> dict[str, Any]:
        """The failure; the task must have failed."""
        assert self.kinds[-1] is FrameKind.FAILED, self.frames[-1]
        payload = self.frames[-1][1]
        assert isinstance(payload, dict)
        return payload


def run_settings(
    settings: bytes, *, policy: Policy | None = None, approved: Mapping[str, bytes] = NONE
) -> Frames:
    """Run a task from the bytes of its settings."""
    frames: list[tuple[FrameKind, Any]] = []

    def send(kind: FrameKind, payload: bytes) -> None:
        plain = kind is FrameKind.APPROVED
        frames.append((kind, payload if plain else json.loads(payload.decode("utf-8"))))

    run_task(settings, policy or Policy(), send, approved=approved)
    return Frames(frames)


def run(
    code: str,
    items: list[Any] | None = None,
    *,
    mode: str = ALL,
    policy: Policy | None = None,
    approved: Mapping[str, bytes] = NONE,
    **settings: object,
) -> Frames:
    """Run a task with this code."""
    fields = {"code": code, "nodeMode": mode, "items": [] if items is None else items, **settings}
    return run_settings(json.dumps(fields).encode(), policy=policy, approved=approved)


def allowing(*modules: str) -> Policy:
    """A policy that allows these standard-library modules only."""
    return Policy(stdlib_allow=frozenset(modules))
