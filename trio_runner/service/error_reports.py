"""Error reports to Sentry: the runner's own faults, and nothing of anybody's task.

A report is made here from nothing but what it may hold, and looked through once more before it leaves: the
type of an exception and where in our own code it was raised, the release, and the names that the operator
gave. The texts of unexpected exceptions are left out, because they may quote what somebody sent; of our own
messages only the words before the first thing that is quoted or named. No local variables, no lines of
source, no names of machines, no breadcrumbs, and nothing is patched or captured by the SDK itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from .. import __version__
from ..errors import ConfigError
from ..scheduling.observer import Event, ExecutorTrouble
from .logs.repeats import Repeats

__all__ = ["ErrorReports", "ReportLabels", "open_error_reports"]

# Seconds between two reports of the same, and for the last ones to be sent at the end.
_AGAIN = 3600.0
_FLUSH = 2.0
_FIELDS = frozenset({"event_id", "timestamp", "platform", "level", "exception", "message", "release"}) | {
    "environment",
    "server_name",
    "tags",
    "sdk",
}
# From here on a message of ours may quote somebody.
_QUOTED = re.compile(r"['\"`(\[{<]")
_NAMED = re.compile(r"^task \S+")
_PACKAGE = Path(__file__).parents[1]


@attrs.frozen(kw_only=True)
class ReportLabels:
    """What a report is labelled with, from the operator's settings.

    Attributes:
        n8n_version: release of the n8n that the runner belongs to, or empty.
        environment: such as ``production``, or empty.
        deployment: name of the deployment, or empty.
    """

    n8n_version: str = ""
    environment: str = ""
    deployment: str = ""


class ErrorReports:
    """Sends reports; an observer of a runner. Made by `open_error_reports`.

    Args:
        client: of the Sentry SDK.
        clock: monotonic time in seconds, for leaving out repeats.
    """

    def __init__(self, client: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._repeats = Repeats(every=_AGAIN)

    def fault(self, exc: BaseException) -> None:
        """Report an exception that nobody expected; of a group, everything in it."""
        values = [_exception(leaf) for leaf in _leaves(exc)]
        self._send({"level": "fatal", "exception": {"values": values}})

    def observe(self, event: Event) -> None:
        """Report trouble with workers, once an hour for the same words."""
        if not isinstance(event, ExecutorTrouble):
            return
        words = _own_words(event.why)
        if self._repeats.say(words, self._clock()) is not None:
            self._send({"level": "error", "message": f"Workers: {words}"})

    def close(self) -> None:
        """Wait a moment until everything has been sent. Blocks: for the time after the event loop."""
        self._client.close(timeout=_FLUSH)

    def _send(self, event: dict[str, object]) -> None:
        self._client.capture_event(event | {"platform": "python"})


def open_error_reports(
    dsn: str, labels: ReportLabels, *, origin: str = "N8N_SENTRY_DSN", transport: Any = None
) -> ErrorReports:
    """Return what sends reports.

    Args:
        dsn: where to, as Sentry writes it.
        labels: what reports are labelled with.
        origin: what to call the setting of the DSN in a message.
        transport: class that sends, instead of the SDK's own, which does so in a thread.

    Raises:
        ConfigError: the SDK is not installed, or the DSN is none.
    """
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError:
        raise ConfigError(
            f"{origin} is set, but no errors are reported without the package sentry-sdk;"
            " pip install 'trio-runner[sentry]', or unset it"
        ) from None
    release = f"n8n@{labels.n8n_version}" if labels.n8n_version else f"trio-runner@{__version__}"
    try:
        client = sentry_sdk.Client(
            dsn=dsn,
            release=release,
            environment=labels.environment or "production",
            server_name=labels.deployment,
            transport=transport,
            before_send=_only_what_may_leave,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            send_client_reports=False,
            auto_session_tracking=False,
            max_breadcrumbs=0,
        )
    except BadDsn:
        raise ConfigError(
            f"{origin} is no DSN, and no errors are reported; copy it from the project's settings in Sentry"
        ) from None
    return ErrorReports(client)


def _only_what_may_leave(event: Any, _hint: Any) -> Any:
    """Leave out everything that the SDK has added."""
    kept = {name: value for name, value in event.items() if name in _FIELDS and value}
    kept["tags"] = {"server_type": "task_runner_python", "trio_runner": __version__}
    return kept


def _exception(exc: BaseException) -> dict[str, object]:
    return {
        "type": type(exc).__name__,
        "module": type(exc).__module__,
        "value": _own_words(str(exc)) if type(exc).__module__.startswith("trio_runner.") else "",
        "stacktrace": {"frames": list(_frames(exc.__traceback__))},
    }


def _frames(trace: TracebackType | None) -> Iterator[dict[str, object]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        path = Path(code.co_filename)
        ours = path.is_relative_to(_PACKAGE)
        yield {
            "filename": str(path.relative_to(_PACKAGE.parent)) if ours else path.name,
            "function": code.co_name,
            "lineno": trace.tb_lineno,
            "in_app": ours,
        }
        trace = trace.tb_next


def _own_words(message: str) -> str:
    """Return the beginning of a message of ours, up to the first thing that may be somebody else's."""
    unnamed = _NAMED.sub("task", message.partition("\n")[0])
    return ":".join(_QUOTED.split(unnamed, maxsplit=1)[0].split(":")[:2]).strip()[:200]


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from _leaves(inner)
    else:
        yield exc
