"""trio_runner: an offer-based task runner on trio.

A runner advertises free slots as short-lived offers, a broker matches offers with task requests, and the
runner validates capacity at acceptance, runs the task and frees the slot. The package speaks n8n's
task-runner protocol, brings a broker and a requester of its own, and embeds in any trio application.

Public names are resolved on first use, so that importing the package costs nothing: worker processes
import it too, and they must hold the standard library only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .broker.config import BrokerConfig
    from .broker.serve import BrokerHandle, serve_broker
    from .errors import (
        AuthRejected,
        ConfigError,
        LinkError,
        LinkLost,
        LocalProtocolError,
        PolicyViolation,
        ProtocolError,
        RemoteProtocolError,
        RequestExpired,
        RunnerLost,
        SandboxError,
        TaskCancelled,
        TaskError,
        TaskTimedOut,
        TrioRunnerError,
        UserCodeError,
        WorkerDied,
    )
    from .executor.contract import Executor
    from .executor.handlers import Handler, HandlerExecutor, HandlerTask
    from .protocol.raw_json import RawJson
    from .requester.client import Requester, open_requester
    from .requester.output import Output, PrintedOutput
    from .requester.running import RunningTask
    from .runner.changes import ReconfigureReport
    from .runner.config import RunnerConfig
    from .runner.serve import Runner, serve_runner
    from .runner.statistics import RunnerStatistics
    from .sandbox.policy import Policy
    from .sandbox.walls.delegation import divide_control_group
    from .scheduling.observer import Event, NullObserver, Observer
    from .scheduling.offers import OfferPolicy
    from .transport.link import LinkSettings

__version__ = "0.1.0"

__all__ = [
    "AuthRejected",
    "BrokerConfig",
    "BrokerHandle",
    "ConfigError",
    "Event",
    "Executor",
    "Handler",
    "HandlerExecutor",
    "HandlerTask",
    "LinkError",
    "LinkLost",
    "LinkSettings",
    "LocalProtocolError",
    "NullObserver",
    "Observer",
    "OfferPolicy",
    "Output",
    "Policy",
    "PolicyViolation",
    "PrintedOutput",
    "ProtocolError",
    "RawJson",
    "ReconfigureReport",
    "RemoteProtocolError",
    "RequestExpired",
    "Requester",
    "Runner",
    "RunnerConfig",
    "RunnerLost",
    "RunnerStatistics",
    "RunningTask",
    "SandboxError",
    "TaskCancelled",
    "TaskError",
    "TaskTimedOut",
    "TrioRunnerError",
    "UserCodeError",
    "WorkerDied",
    "__version__",
    "divide_control_group",
    "open_requester",
    "serve_broker",
    "serve_runner",
]

_MODULES = {
    "broker.config": ("BrokerConfig",),
    "broker.serve": ("BrokerHandle", "serve_broker"),
    "errors": (
        "AuthRejected",
        "ConfigError",
        "LinkError",
        "LinkLost",
        "LocalProtocolError",
        "PolicyViolation",
        "ProtocolError",
        "RemoteProtocolError",
        "RequestExpired",
        "RunnerLost",
        "SandboxError",
        "TaskCancelled",
        "TaskError",
        "TaskTimedOut",
        "TrioRunnerError",
        "UserCodeError",
        "WorkerDied",
    ),
    "executor.contract": ("Executor",),
    "executor.handlers": ("Handler", "HandlerExecutor", "HandlerTask"),
    "protocol.raw_json": ("RawJson",),
    "requester.client": ("Requester", "open_requester"),
    "requester.output": ("Output", "PrintedOutput"),
    "requester.running": ("RunningTask",),
    "runner.changes": ("ReconfigureReport",),
    "runner.config": ("RunnerConfig",),
    "runner.serve": ("Runner", "serve_runner"),
    "runner.statistics": ("RunnerStatistics",),
    "sandbox.policy": ("Policy",),
    "sandbox.walls.delegation": ("divide_control_group",),
    "scheduling.observer": ("Event", "NullObserver", "Observer"),
    "scheduling.offers": ("OfferPolicy",),
    "transport.link": ("LinkSettings",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it (PEP 562)."""
    module = _HOMES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
