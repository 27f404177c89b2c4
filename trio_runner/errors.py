"""The one exception tree of trio_runner.

Every error the package raises on purpose descends from `TrioRunnerError`. Each docstring says whose
fault the error is and what to do about it. Third-party exceptions are translated at the edge where
they appear, with the original as ``__cause__``.
"""

from __future__ import annotations

__all__ = [
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
]


class TrioRunnerError(Exception):
    """Base of every error raised by trio_runner. Catch it at the edge of an application."""


class ConfigError(TrioRunnerError):
    """A setting is wrong. The operator's fault: the message names the setting and the remedy."""


class SandboxError(ConfigError):
    """This machine lacks walls around tasks that the configuration demands. Nothing was started.

    The operator's choice: the message names the walls, what to change on the machine, and how to do without.
    """


class ProtocolError(TrioRunnerError):
    """A message broke the task-runner protocol. See the two subclasses for whose fault it is."""


class LocalProtocolError(ProtocolError):
    """We tried something the protocol forbids in this state. A bug in trio_runner or its caller."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that is not the protocol. The message gives the path in the message."""


class LinkError(TrioRunnerError):
    """A connection could not be made or kept. See the subclasses; usually worth another try later."""


class AuthRejected(LinkError):
    """The peer refused our token (401 or 403). The operator must fix the token; retrying alone does not help.

    Attributes:
        status: the HTTP status code of the refusal.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class LinkLost(LinkError):
    """The peer could not be reached, or an open connection ended. Connect again, with backoff."""


class TaskError(TrioRunnerError):
    """A task did not complete. Raised by the requester only; ``str()`` is the message a person sees.

    Attributes:
        message: what happened, one line.
        description: more of it: captured stderr, findings of the analysis, a remedy; may be empty.
        stack: traceback of the person's own code, or empty.
        line_number: 1-based line in the person's own code, if known.
    """

    def __init__(
        self, message: str, *, description: str = "", stack: str = "", line_number: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.description = description
        self.stack = stack
        self.line_number = line_number


class UserCodeError(TaskError):
    """The submitted code raised, or does not parse. The fault is in the code; `line_number` says where."""


class PolicyViolation(TaskError):
    """The submitted code uses something the runner's policy refuses. Change the code or the allow-lists."""


class TaskTimedOut(TaskError):
    """The task ran past the runner's or the broker's time limit. Split the work or raise the limit."""


class TaskCancelled(TaskError):
    """The task was cancelled by somebody other than the awaiting caller (broker or runner shutdown)."""


class WorkerDied(TaskError):
    """The process that ran the task ended without a result: out of memory, a crash, ``os._exit``."""


class RunnerLost(TaskError):
    """The runner's connection ended with the task on it. A repeatable task may be submitted again."""


class RequestExpired(TaskError):
    """The broker gave the request up before any runner took it: no free runner in time, draining, queue full.

    Attributes:
        reason: the broker's reason: ``timeout``, ``draining``, ``no-runner``, ``queue-full``, ….
    """

    def __init__(self, message: str, *, reason: str, description: str = "") -> None:
        super().__init__(message, description=description)
        self.reason = reason
