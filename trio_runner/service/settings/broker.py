"""The settings of ``trio-runner broker``: the table, and the broker's configuration made from it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import attrs

from ...errors import ConfigError
from .kinds import Boolean, Number, Seconds, Text, Token, UrlPath
from .logs import log_format, log_level, no_color
from .table import Reading, setting
from .windows import control_socket, metrics, web_page

if TYPE_CHECKING:
    from ...broker.config import BrokerConfig

__all__ = ["BrokerSettings", "broker_config"]

_LISTENING = "Listening"
_TIMES = "Time limits"
_LIMITS = "Other limits"
_HEALTH = "Health endpoint"


@attrs.frozen(kw_only=True)
class BrokerSettings:
    """Everything the operator can tell ``trio-runner broker``; the help texts are the documentation."""

    host: str = setting(
        "TRIO_RUNNER_BROKER_HOST",
        "N8N_RUNNERS_BROKER_LISTEN_ADDRESS",
        flag="--host",
        kind=Text("HOST"),
        default="127.0.0.1",
        about="Address to listen on.",
        group=_LISTENING,
    )
    port: int = setting(
        "TRIO_RUNNER_BROKER_PORT",
        "N8N_RUNNERS_BROKER_PORT",
        flag="--port",
        kind=Number(0, 65535, metavar="PORT"),
        default=5679,
        about="Port to listen on; 0: any free one.",
        group=_LISTENING,
    )
    auth_token: str = setting(
        "TRIO_RUNNER_AUTH_TOKEN",
        "N8N_RUNNERS_AUTH_TOKEN",
        flag="--auth-token",
        kind=Token(),
        default="",
        about="Secret of runners and requesters. A flag shows in the list of processes: prefer the variable.",
        group=_LISTENING,
        secret=True,
    )
    generate_token: bool = setting(
        "TRIO_RUNNER_BROKER_GENERATE_TOKEN",
        flag="--generate-token",
        kind=Boolean(),
        default=False,
        about="Make up a secret and print it, if none is given.",
        group=_LISTENING,
    )
    runners_path: str = setting(
        "TRIO_RUNNER_BROKER_RUNNERS_PATH",
        "N8N_RUNNERS_PATH",
        flag="--runners-path",
        kind=UrlPath(),
        default="/runners",
        about="Path for runners.",
        group=_LISTENING,
    )
    requesters_path: str = setting(
        "TRIO_RUNNER_BROKER_REQUESTERS_PATH",
        flag="--requesters-path",
        kind=UrlPath(),
        default="/requesters",
        about="Path for requesters.",
        group=_LISTENING,
    )
    request_timeout: float = setting(
        "TRIO_RUNNER_BROKER_REQUEST_TIMEOUT",
        "N8N_RUNNERS_TASK_REQUEST_TIMEOUT",
        flag="--request-timeout",
        kind=Seconds(),
        default=60.0,
        about="Seconds a request waits for a free runner.",
        group=_TIMES,
    )
    execution_timeout: float = setting(
        "TRIO_RUNNER_BROKER_EXECUTION_TIMEOUT",
        "N8N_RUNNERS_TASK_TIMEOUT",
        flag="--execution-timeout",
        kind=Seconds(),
        default=300.0,
        about="Seconds a task may take on its runner.",
        group=_TIMES,
    )
    accept_timeout: float = setting(
        "TRIO_RUNNER_BROKER_ACCEPT_TIMEOUT",
        flag="--accept-timeout",
        kind=Seconds(),
        default=2.0,
        about="Seconds a runner has to take a task it offered to do.",
        group=_TIMES,
    )
    settings_timeout: float = setting(
        "TRIO_RUNNER_BROKER_SETTINGS_TIMEOUT",
        flag="--settings-timeout",
        kind=Seconds(),
        default=2.0,
        about="Seconds a requester has to send the settings of a task.",
        group=_TIMES,
    )
    grant_ttl: float = setting(
        "TRIO_RUNNER_BROKER_GRANT_TTL",
        flag="--grant-ttl",
        kind=Seconds(),
        default=15.0,
        about="Seconds a grant token may be used after it was issued.",
        group=_TIMES,
    )
    heartbeat: float = setting(
        "TRIO_RUNNER_BROKER_HEARTBEAT",
        "N8N_RUNNERS_HEARTBEAT_INTERVAL",
        flag="--heartbeat",
        kind=Seconds(),
        default=30.0,
        about="Seconds between pings; a peer that missed one is dropped at the next.",
        group=_TIMES,
    )
    drain_timeout: float = setting(
        "TRIO_RUNNER_BROKER_DRAIN_TIMEOUT",
        flag="--drain-timeout",
        kind=Seconds(),
        default=10.0,
        about="Seconds that running tasks get when the broker is told to end.",
        group=_TIMES,
    )
    max_payload: int = setting(
        "TRIO_RUNNER_BROKER_MAX_PAYLOAD",
        "N8N_RUNNERS_MAX_PAYLOAD",
        flag="--max-payload",
        kind=Number(1, 4 * 1024**3 - 1, metavar="BYTES"),
        default=1024**3,
        about="Largest message in either direction, in bytes.",
        group=_LIMITS,
    )
    max_connections: int = setting(
        "TRIO_RUNNER_BROKER_MAX_CONNECTIONS",
        flag="--max-connections",
        kind=Number(1, 1_000_000),
        default=10_000,
        about="Connections at a time; more are refused.",
        group=_LIMITS,
    )
    max_waiting: int = setting(
        "TRIO_RUNNER_BROKER_MAX_WAITING",
        flag="--max-waiting",
        kind=Number(1, 10_000_000),
        default=10_000,
        about="Requests that may wait at once; more are refused.",
        group=_LIMITS,
    )
    max_strikes: int = setting(
        "TRIO_RUNNER_BROKER_MAX_STRIKES",
        flag="--max-strikes",
        kind=Number(1, 1_000),
        default=3,
        about="Unanswered accepts in a row after which a runner is dropped.",
        group=_LIMITS,
    )
    requests_per_second: int = setting(
        "TRIO_RUNNER_BROKER_REQUESTS_PER_SECOND",
        flag="--requests-per-second",
        kind=Number(1, 1_000_000),
        default=5,
        about="Token requests and connections per second that one address may make.",
        group=_LIMITS,
    )
    health_check: bool = setting(
        "TRIO_RUNNER_BROKER_HEALTH_CHECK_SERVER_ENABLED",
        flag="--health-check",
        kind=Boolean(),
        default=False,
        about="Answer health checks on a port of their own: /livez (progress), /readyz (takes requests).",
        group=_HEALTH,
    )
    health_check_host: str = setting(
        "TRIO_RUNNER_BROKER_HEALTH_CHECK_SERVER_HOST",
        flag="--health-check-host",
        kind=Text("HOST"),
        default="127.0.0.1",
        about="Address to listen on.",
        group=_HEALTH,
    )
    health_check_port: int = setting(
        "TRIO_RUNNER_BROKER_HEALTH_CHECK_SERVER_PORT",
        flag="--health-check-port",
        kind=Number(0, 65535, metavar="PORT"),
        default=5680,
        about="Port to listen on; 0: any free one.",
        group=_HEALTH,
    )
    metrics: bool = metrics()
    web_page: str = web_page()
    control_socket: str = control_socket()
    log_level: str = log_level()
    log_format: str = log_format()
    no_color: bool = no_color()


def broker_config(reading: Reading[BrokerSettings]) -> BrokerConfig:
    """Return the configuration of the broker, with a secret of its own if asked for.

    Raises:
        ConfigError: there is no secret, or settings contradict each other.
    """
    from ...broker.config import BrokerConfig

    settings = reading.settings
    if not settings.auth_token and not settings.generate_token:
        raise ConfigError(
            "no token is given; set N8N_RUNNERS_AUTH_TOKEN (the secret that runners and requesters must know)"
            " or let --generate-token make one up"
        )
    if settings.runners_path == settings.requesters_path:
        raise ConfigError(
            f"{reading.label('runners_path')} and {reading.label('requesters_path')} are both"
            f" {settings.runners_path!r}; give them different paths"
        )
    names = {field.name for field in attrs.fields(BrokerConfig)} & {
        field.name for field in attrs.fields(BrokerSettings)
    }
    values = {name: getattr(settings, name) for name in names}
    values["auth_token"] = settings.auth_token or secrets.token_urlsafe(24)
    return BrokerConfig(**values)
