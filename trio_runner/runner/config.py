"""What a runner is told: frozen, checked on construction."""

from __future__ import annotations

import math

import attrs

from ..errors import ConfigError
from ..executor.config import check_module_names
from ..protocol.ids import new_id
from ..sandbox.config import SandboxConfig
from ..sandbox.policy import Policy
from ..scheduling.offers import OfferPolicy
from ..transport.endpoints import broker_endpoint
from ..transport.link import LinkSettings

__all__ = ["RunnerConfig"]

# Bytes. Room for the short errors that take the place of what is too large to be sent.
_LEAST_MESSAGE = 1000


@attrs.frozen(kw_only=True)
class RunnerConfig:
    """The settings of one runner. Every default is that of n8n's own runner where it has one.

    Attributes:
        brokers: base URIs, a path prefix included; each gets a session, all sessions share the slots.
        auth_token: shared secret from which a fresh grant token is minted for every connection.
        grant_token: single-use token for the first connection; without `auth_token` there is no second one.
        runner_id: unique per broker; random by default.
        name: what the runner calls itself in ``runner:info``.
        runners_path: the broker's path for runners, as in its ``N8N_RUNNERS_PATH``.
        max_concurrency: task slots, shared by all brokers and task types.
        task_timeout: seconds from the arrival of a task's settings to its end.
        settings_timeout: seconds an accepted task may wait for its settings before its slot is freed. The
            broker's own limit is 2 s, but large settings take their time from the requester to it.
        idle_timeout: seconds without a task after which the runner ends; 0: never.
        max_tasks: tasks that the runner takes before it ends by itself; 0: any number. Every one that was
            taken runs to its end; further accepts are rejected.
        max_uptime: seconds after which the runner ends by itself, once its running tasks have; 0: never. What
            holds is drawn between 90 and 100 % of it, so that a fleet does not end all at once.
        grace: seconds that running tasks get at shutdown.
        link: limits of the connections; `LinkSettings.max_message` is the payload limit, 1 000 bytes or more.
        offers: validity, jitter and latency buffer of offers.
        policy: what the code of Python tasks may import and use.
        sandbox: the walls around each Python task, and their limits.
        preload: modules that are loaded once, so that Python tasks import them for nothing.
        reuse: Python tasks of one workflow that a process may run one after the other, ≥ 0; 0 and 1: each has
            its own. Weaker isolation, for speed.

    Raises:
        ConfigError: a value is out of range, or values contradict each other.
    """

    brokers: tuple[str, ...] = ("http://127.0.0.1:5679",)
    auth_token: str = attrs.field(default="", repr=False)
    grant_token: str = attrs.field(default="", repr=False)
    runner_id: str = attrs.field(factory=new_id)
    name: str = "Python Task Runner"
    runners_path: str = "/runners"
    max_concurrency: int = 5
    task_timeout: float = 60.0
    settings_timeout: float = 15.0
    idle_timeout: float = 0.0
    max_tasks: int = 0
    max_uptime: float = 0.0
    grace: float = 10.0
    link: LinkSettings = attrs.field(factory=LinkSettings)
    offers: OfferPolicy = attrs.field(factory=OfferPolicy)
    policy: Policy = attrs.field(factory=Policy)
    sandbox: SandboxConfig = attrs.field(factory=SandboxConfig)
    preload: tuple[str, ...] = ()
    reuse: int = 0

    def __attrs_post_init__(self) -> None:
        _check_brokers(self.brokers)
        _check_tokens(self)
        if self.max_concurrency < 1:
            raise ConfigError(f"max_concurrency must be at least 1, not {self.max_concurrency}")
        if self.link.max_message < _LEAST_MESSAGE:
            raise ConfigError(
                f"the largest message must be at least {_LEAST_MESSAGE} bytes, not {self.link.max_message}:"
                " not even an error could be reported"
            )
        for name in ("task_timeout", "settings_timeout", "grace"):
            _check_seconds(name, getattr(self, name), at_least=None)
        for name in ("idle_timeout", "max_uptime"):
            _check_seconds(name, getattr(self, name), at_least=0)
        if self.reuse < 0:
            raise ConfigError(f"reuse must be at least 0 (never), not {self.reuse}")
        if self.max_tasks < 0:
            raise ConfigError(f"max_tasks must be at least 0 (any number), not {self.max_tasks}")
        check_module_names("preload", self.preload)


def _check_brokers(brokers: tuple[str, ...]) -> None:
    if not brokers:
        raise ConfigError("brokers is empty: name at least one broker, such as http://127.0.0.1:5679")
    for broker in brokers:
        broker_endpoint(broker, "/")
    doubled = {broker for broker in brokers if brokers.count(broker) > 1}
    if doubled:
        raise ConfigError(f"broker URI {min(doubled)!r} is given twice: name each broker once")


def _check_tokens(config: RunnerConfig) -> None:
    if not config.auth_token and not config.grant_token:
        raise ConfigError("no token: set auth_token (shared secret) or grant_token (single use)")
    if config.grant_token and len(config.brokers) > 1:
        raise ConfigError("a grant token is good for one broker: use auth_token to serve several")


def _check_seconds(name: str, value: float, *, at_least: float | None) -> None:
    if not math.isfinite(value) or value < 0 or (at_least is None and value == 0):
        bound = "more than 0" if at_least is None else "at least 0"
        raise ConfigError(f"{name} must be {bound} seconds, not {value:g}")
