"""The table of the settings of ``trio-runner run``; `run_config` makes the configuration of them."""

from __future__ import annotations

import attrs

from ...sandbox.policy import DEFAULT_BUILTINS_DENY
from .collector import CollectorUrl
from .kinds import Boolean, BrokerUris, CertificateFile, NameList, Number, Seconds, Text, Token, UrlPath
from .logs import log_format, log_level, no_color
from .sandbox import disabled_walls, limit, sandbox_word
from .table import setting
from .windows import control_socket, metrics, web_page

__all__ = ["RunSettings"]

_CONNECTION = "Connection"
_TASKS = "Tasks"
_CODE = "What code may use"
_LIFE = "Start and end"
_HEALTH = "Health endpoint"
_REPORTS = "Error reports and traces"


@attrs.frozen(kw_only=True)
class RunSettings:
    """Everything the operator can tell ``trio-runner run``; the help texts are the documentation."""

    brokers: tuple[str, ...] = setting(
        "TRIO_RUNNER_TASK_BROKER_URI",
        "N8N_RUNNERS_TASK_BROKER_URI",
        flag="--broker",
        kind=BrokerUris(),
        default=("http://127.0.0.1:5679",),
        about="Base URI of the task broker; several with commas between share the slots.",
        group=_CONNECTION,
        live=True,
    )
    auth_token: str = setting(
        "TRIO_RUNNER_AUTH_TOKEN",
        "N8N_RUNNERS_AUTH_TOKEN",
        flag="--auth-token",
        kind=Token(),
        default="",
        about="Secret shared with the broker. A flag shows in the list of processes: prefer the variable.",
        group=_CONNECTION,
        secret=True,
        live=True,
    )
    grant_token: str = setting(
        "TRIO_RUNNER_GRANT_TOKEN",
        "N8N_RUNNERS_GRANT_TOKEN",
        flag="--grant-token",
        kind=Token(),
        default="",
        about="Single-use token from a launcher: good for one connection to one broker.",
        group=_CONNECTION,
        secret=True,
    )
    runner_id: str = setting(
        "TRIO_RUNNER_ID",
        "N8N_RUNNERS_ID",
        flag="--id",
        kind=Text(),
        default="",
        default_text="random",
        about="Id of this runner, unique per broker.",
        group=_CONNECTION,
    )
    runners_path: str = setting(
        "TRIO_RUNNER_PATH",
        "N8N_RUNNERS_PATH",
        flag="--runners-path",
        kind=UrlPath(),
        default="/runners",
        about="The broker's path for runners.",
        group=_CONNECTION,
    )
    ca_file: str = setting(
        "TRIO_RUNNER_CA_FILE",
        flag="--ca-file",
        kind=CertificateFile(),
        default="",
        default_text="the system's",
        about="Certificates (PEM) to trust for https and wss instead of the system's.",
        group=_CONNECTION,
        from_file=False,
    )
    heartbeat: float = setting(
        "TRIO_RUNNER_HEARTBEAT",
        flag="--heartbeat",
        kind=Seconds(),
        default=30.0,
        about="Seconds between pings; a broker that is silent from one to the next is given up.",
        group=_CONNECTION,
    )
    max_concurrency: int = setting(
        "TRIO_RUNNER_MAX_CONCURRENCY",
        "N8N_RUNNERS_MAX_CONCURRENCY",
        flag="--max-concurrency",
        kind=Number(1, 10_000),
        default=5,
        about="Task slots: how many tasks run at once.",
        group=_TASKS,
        live=True,
    )
    max_payload: int = setting(
        "TRIO_RUNNER_MAX_PAYLOAD",
        "N8N_RUNNERS_MAX_PAYLOAD",
        flag="--max-payload",
        kind=Number(1000, 4 * 1024**3 - 1, metavar="BYTES"),
        default=1024**3,
        about="Largest message in either direction, in bytes.",
        group=_TASKS,
    )
    task_timeout: float = setting(
        "TRIO_RUNNER_TASK_TIMEOUT",
        "N8N_RUNNERS_TASK_TIMEOUT",
        flag="--task-timeout",
        kind=Seconds(),
        default=60.0,
        about="Seconds a task may run.",
        group=_TASKS,
        live=True,
    )
    reuse: int = setting(
        "TRIO_RUNNER_REUSE",
        flag="--reuse",
        kind=Number(0, 1_000_000),
        default=0,
        default_text="0 (never)",
        about="Tasks of one workflow that a process may run one after the other: faster, isolated less.",
        group=_TASKS,
        live=True,
    )
    stdlib_allow: frozenset[str] = setting(
        "TRIO_RUNNER_STDLIB_ALLOW",
        "N8N_RUNNERS_STDLIB_ALLOW",
        flag="--stdlib-allow",
        kind=NameList(star=True),
        default=frozenset(),
        default_text="none",
        about="Standard-library modules that code may import, or * for all.",
        group=_CODE,
        warn_if_empty="code may import no module of the standard library; write names or *, or unset it",
        live=True,
    )
    external_allow: frozenset[str] = setting(
        "TRIO_RUNNER_EXTERNAL_ALLOW",
        "N8N_RUNNERS_EXTERNAL_ALLOW",
        flag="--external-allow",
        kind=NameList(star=True),
        default=frozenset(),
        default_text="none",
        about="Other top-level modules that code may import, or * for all.",
        group=_CODE,
        warn_if_empty="code may import no external module; write names or *, or unset it",
        live=True,
    )
    builtins_deny: frozenset[str] = setting(
        "TRIO_RUNNER_BUILTINS_DENY",
        "N8N_RUNNERS_BUILTINS_DENY",
        flag="--builtins-deny",
        kind=NameList(),
        default=DEFAULT_BUILTINS_DENY,
        default_text="eval, exec, open, getattr and the like",
        about="Builtins that code must not have; empty: deny none.",
        group=_CODE,
        empty_counts=True,
        live=True,
    )
    preload: frozenset[str] = setting(
        "TRIO_RUNNER_PRELOAD",
        flag="--preload",
        kind=NameList(),
        default=frozenset(),
        default_text="the external modules allowed by name",
        about="Modules to load before the tasks, which then import them for nothing; empty: none.",
        group=_CODE,
        empty_counts=True,
        live=True,
    )
    allow_transitive_imports: bool = setting(
        "TRIO_RUNNER_ALLOW_TRANSITIVE_IMPORTS",
        "N8N_RUNNERS_ALLOW_TRANSITIVE_IMPORTS",
        flag="--allow-transitive-imports",
        kind=Boolean(),
        default=False,
        about="Accepted for compatibility: an allowed package may always import what it needs itself.",
        group=_CODE,
        live=True,
    )
    block_env_access: bool = setting(
        "TRIO_RUNNER_BLOCK_ENV_ACCESS",
        "N8N_BLOCK_RUNNER_ENV_ACCESS",
        flag="--block-env-access",
        kind=Boolean(),
        default=True,
        about="Give code an empty environment; else it sees the runner's, without the tokens.",
        group=_CODE,
        live=True,
    )
    sandbox: str = sandbox_word("strictness")
    sandbox_profile: str = sandbox_word("profile")
    sandbox_network: str = sandbox_word("network")
    sandbox_disable: frozenset[str] = disabled_walls()
    task_memory: int | None = limit("memory")
    task_cpu: int | None = limit("cpu")
    task_processes: int | None = limit("processes")
    task_open_files: int | None = limit("open_files")
    task_file_size: int | None = limit("file_size")
    task_scratch: int | None = limit("scratch")
    auto_shutdown_timeout: float = setting(
        "TRIO_RUNNER_AUTO_SHUTDOWN_TIMEOUT",
        "N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT",
        flag="--auto-shutdown-timeout",
        kind=Seconds(or_zero="never"),
        default=0.0,
        default_text="0 (never)",
        about="Seconds without a task after which the runner ends.",
        group=_LIFE,
        live=True,
    )
    graceful_shutdown_timeout: float = setting(
        "TRIO_RUNNER_GRACEFUL_SHUTDOWN_TIMEOUT",
        "N8N_RUNNERS_GRACEFUL_SHUTDOWN_TIMEOUT",
        flag="--graceful-shutdown-timeout",
        kind=Seconds(),
        default=10.0,
        about="Seconds that running tasks get when the runner is told to end.",
        group=_LIFE,
        live=True,
    )
    max_tasks: int = setting(
        "TRIO_RUNNER_MAX_TASKS",
        flag="--max-tasks",
        kind=Number(0, 1_000_000_000),
        default=0,
        default_text="0 (any number)",
        about="Tasks that the runner takes before it ends by itself, when the last of them has.",
        group=_LIFE,
        live=True,
    )
    max_uptime: float = setting(
        "TRIO_RUNNER_MAX_UPTIME",
        flag="--max-uptime",
        kind=Seconds(or_zero="never"),
        default=0.0,
        default_text="0 (never)",
        about="Seconds after which it ends by itself, once its tasks have; 90 to 100 % of it, by chance.",
        group=_LIFE,
        live=True,
    )
    health_check: bool = setting(
        "TRIO_RUNNER_HEALTH_CHECK_SERVER_ENABLED",
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_ENABLED",
        flag="--health-check",
        kind=Boolean(),
        default=False,
        about="Answer GET / and /healthz (there), /livez (makes progress) and /readyz (a task could come).",
        group=_HEALTH,
    )
    health_check_host: str = setting(
        "TRIO_RUNNER_HEALTH_CHECK_SERVER_HOST",
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_HOST",
        flag="--health-check-host",
        kind=Text("HOST"),
        default="127.0.0.1",
        about="Address to listen on.",
        group=_HEALTH,
    )
    health_check_port: int = setting(
        "TRIO_RUNNER_HEALTH_CHECK_SERVER_PORT",
        "N8N_RUNNERS_HEALTH_CHECK_SERVER_PORT",
        flag="--health-check-port",
        kind=Number(0, 65535, metavar="PORT"),
        default=5681,
        about="Port to listen on; 0: any free one.",
        group=_HEALTH,
    )
    metrics: bool = metrics()
    web_page: str = web_page()
    control_socket: str = control_socket()
    log_level: str = log_level()
    log_format: str = log_format()
    no_color: bool = no_color()
    sentry_dsn: str = setting(
        "TRIO_RUNNER_SENTRY_DSN",
        "N8N_SENTRY_DSN",
        flag="--sentry-dsn",
        kind=Token(metavar="DSN"),
        default="",
        about="Where faults of the runner itself are reported to (Sentry); needs trio-runner[sentry].",
        group=_REPORTS,
        secret=True,
    )
    n8n_version: str = setting(
        "TRIO_RUNNER_N8N_VERSION",
        "N8N_VERSION",
        flag="--n8n-version",
        kind=Text(),
        default="",
        about="Release to name in error reports.",
        group=_REPORTS,
    )
    environment: str = setting(
        "TRIO_RUNNER_ENVIRONMENT",
        "ENVIRONMENT",
        flag="--environment",
        kind=Text(),
        default="",
        about="Environment to name in error reports.",
        group=_REPORTS,
    )
    deployment_name: str = setting(
        "TRIO_RUNNER_DEPLOYMENT_NAME",
        "DEPLOYMENT_NAME",
        flag="--deployment-name",
        kind=Text(),
        default="",
        about="Deployment to name in error reports.",
        group=_REPORTS,
    )
    otlp_endpoint: str = setting(
        "TRIO_RUNNER_OTLP_ENDPOINT",
        flag="--otlp-endpoint",
        kind=CollectorUrl(),
        default="",
        about="OTLP/HTTP collector for one OpenTelemetry span per task; needs trio-runner[otel].",
        group=_REPORTS,
    )
