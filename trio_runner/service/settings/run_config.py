"""From the settings of ``trio-runner run`` to the runner's configuration, and what is odd about them."""

from __future__ import annotations

import builtins
import dataclasses
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import attrs

from ...errors import ConfigError
from ...executor.config import check_module_names
from ...runner.config import RunnerConfig
from ...sandbox.config import Limits, SandboxConfig
from ...sandbox.policy import Policy
from ...transport.link import LinkSettings
from .broker import BrokerSettings
from .collector import COLLECTOR_HEADERS
from .run import RunSettings
from .sandbox import sandbox_config
from .table import Reading, secret_variables

__all__ = ["oddities", "runner_config", "task_policy", "task_sandbox", "visible_environment"]

# How names and addresses of this machine itself begin.
_HERE = ("localhost", "127.", "::1")


def runner_config(reading: Reading[RunSettings], environ: Mapping[str, str]) -> RunnerConfig:
    """Return the configuration of the runner.

    Args:
        reading: the settings, and where each was given.
        environ: the environment, from which the code of tasks may see something.

    Raises:
        ConfigError: settings contradict each other, or none of the tokens is given.
    """
    settings = reading.settings
    _check_tokens(reading)
    config = RunnerConfig(
        brokers=settings.brokers,
        auth_token=settings.auth_token,
        grant_token=settings.grant_token,
        runners_path=settings.runners_path,
        max_concurrency=settings.max_concurrency,
        task_timeout=settings.task_timeout,
        idle_timeout=settings.auto_shutdown_timeout,
        max_tasks=settings.max_tasks,
        max_uptime=settings.max_uptime,
        grace=settings.graceful_shutdown_timeout,
        link=LinkSettings(
            max_message=settings.max_payload,
            heartbeat=settings.heartbeat,
            ca_file=settings.ca_file or None,
        ),
        policy=task_policy(settings, environ),
        sandbox=task_sandbox(reading),
        preload=_preload(reading),
        reuse=settings.reuse,
    )
    return attrs.evolve(config, runner_id=settings.runner_id) if settings.runner_id else config


def task_policy(settings: RunSettings, environ: Mapping[str, str]) -> Policy:
    """Return what the code of tasks may do.

    Args:
        settings: the settings.
        environ: the environment, from which it may see something.
    """
    return Policy(
        stdlib_allow=settings.stdlib_allow,
        external_allow=settings.external_allow,
        builtins_deny=settings.builtins_deny,
        environment=() if settings.block_env_access else visible_environment(environ),
        max_result=settings.max_payload,
    )


def task_sandbox(reading: Reading[RunSettings]) -> SandboxConfig:
    """Return which walls are to stand around tasks.

    Raises:
        ConfigError: settings contradict each other.
    """
    return dataclasses.replace(sandbox_config(reading), closed_ports=_own_ports(reading.settings))


def _own_ports(settings: RunSettings) -> tuple[int, ...]:
    """Return the ports of this machine that are no task's business: of health, brokers, collector."""
    ports = {settings.health_check_port} if settings.health_check else set()
    for uri in (*settings.brokers, settings.otlp_endpoint):
        parts = urlsplit(uri)
        if (parts.hostname or "").startswith(_HERE):
            ports.add(parts.port or (443 if parts.scheme in ("https", "wss") else 80))
    return tuple(sorted(ports - {0}))


def _preload(reading: Reading[RunSettings]) -> tuple[str, ...]:
    """Return the modules to load ahead of the tasks: as given, else the allowed ones that there are."""
    if "preload" in reading.origins:
        modules = tuple(sorted(reading.settings.preload))
        check_module_names(reading.label("preload"), modules)
        return modules
    named = reading.settings.external_allow - {"*"} - sys.stdlib_module_names
    return tuple(sorted(filter(_installed, named)))


def visible_environment(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the environment without every variable that holds a secret or the path of one."""
    hidden = secret_variables(RunSettings, BrokerSettings) | set(COLLECTOR_HEADERS)
    return tuple((name, value) for name, value in environ.items() if name not in hidden)


def oddities(reading: Reading[RunSettings]) -> Iterator[str]:
    """Yield one line for each setting that is allowed but can hardly be meant."""
    yield from reading.warnings
    settings = reading.settings
    stdlib, external = reading.label("stdlib_allow"), reading.label("external_allow")
    for module in sorted(settings.stdlib_allow - {"*"} - sys.stdlib_module_names):
        yield f"{stdlib}: {module!r} is no module of the standard library; others belong into {external}"
    for module in sorted(settings.external_allow - {"*"}):
        if module in sys.stdlib_module_names:
            yield f"{external}: {module!r} is a module of the standard library; it belongs into {stdlib}"
        elif not _installed(module):
            yield f"{external}: {module!r} cannot be imported here; install it, or write the name one imports"
    if settings.reuse > 1 and settings.sandbox != "off" and _cpu_limit(settings):
        yield (
            f"{reading.label('reuse')} has no effect: processor time is limited, for each process"
            f" as a whole; set {reading.label('task_cpu')} to 0, or leave reuse alone"
        )
    for name in sorted(settings.builtins_deny):
        if "builtins_deny" in reading.origins and not hasattr(builtins, name):
            yield f"{reading.label('builtins_deny')}: there is no builtin {name!r}; is it misspelt?"


def _cpu_limit(settings: RunSettings) -> int:
    """Return the limit of processor time, seconds, as given or else that of the profile; 0: none."""
    return Limits.of_profile(settings.sandbox_profile).cpu if settings.task_cpu is None else settings.task_cpu


def _installed(module: str) -> bool:
    """Whether a top-level module can be found; it is not imported."""
    if not module.isidentifier():
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _check_tokens(reading: Reading[RunSettings]) -> None:
    settings = reading.settings
    if not settings.auth_token and not settings.grant_token:
        raise ConfigError(
            "no token is given; set N8N_RUNNERS_AUTH_TOKEN (the secret shared with the broker)"
            " or N8N_RUNNERS_GRANT_TOKEN (single use, from a launcher)"
        )
    if settings.grant_token and len(settings.brokers) > 1:
        raise ConfigError(
            f"{reading.label('grant_token')} opens one connection, but {reading.label('brokers')} names"
            f" {len(settings.brokers)} brokers; name one, or use N8N_RUNNERS_AUTH_TOKEN alone"
        )
