"""What a process executor is told."""

from __future__ import annotations

import sys

import attrs

from ..errors import ConfigError
from ..sandbox.config import SandboxConfig
from ..sandbox.policy import Policy

__all__ = ["ProcessExecutorConfig", "check_module_names"]


@attrs.frozen(kw_only=True)
class ProcessExecutorConfig:
    """Settings of a process executor.

    Attributes:
        policy: what the code of a task may do.
        sandbox: the walls around each task.
        workers: tasks that may run at once, ≥ 1.
        warm: workers forked ahead of need, ≥ 0; None: as many as `workers`.
        task_types: the task types to run.
        max_payload: largest result, bytes of JSON, ≥ 1.
        python: the interpreter for the workers.
        start_limit: seconds for the interpreter to start and answer, and for each of `preload`, > 0.
        preload: modules to load once, before the workers are forked, so that tasks import them for nothing.
            Numeric libraries are told to use one thread there, since threads do not outlive a fork.
        reuse: tasks of one workflow that a worker may run one after the other, ≥ 0; 0 and 1: each task has a
            process of its own. Weaker isolation, for speed.

    Raises:
        ConfigError: a number is out of range, or a module has no name that can be imported.
    """

    policy: Policy = attrs.field(factory=Policy)
    sandbox: SandboxConfig = attrs.field(factory=SandboxConfig)
    workers: int = 5
    warm: int | None = None
    task_types: tuple[str, ...] = ("python",)
    max_payload: int = 1024**3
    python: str = sys.executable
    start_limit: float = 30.0
    preload: tuple[str, ...] = ()
    reuse: int = 0

    def __attrs_post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"workers must be at least 1, not {self.workers}")
        if self.warm is not None and self.warm < 0:
            raise ConfigError(f"warm must be at least 0, not {self.warm}")
        if self.max_payload < 1:
            raise ConfigError(f"max_payload must be at least 1 byte, not {self.max_payload}")
        if self.reuse < 0:
            raise ConfigError(f"reuse must be at least 0 (never), not {self.reuse}")
        if not self.start_limit > 0:
            raise ConfigError(f"start_limit must be more than 0 seconds, not {self.start_limit}")

        check_module_names("preload", self.preload)

    @property
    def warm_workers(self) -> int:
        """How many idle workers to keep."""
        return self.workers if self.warm is None else self.warm

    @property
    def tasks_per_worker(self) -> int:
        """How many tasks a worker may run, ≥ 1.

        One where processor time is limited: it counts from the start of a process, so a second task would
        have less of it.
        """
        limited = self.sandbox.limits.cpu and "limits" in self.sandbox.wanted(self.policy)
        return 1 if limited else max(1, self.reuse)


def check_module_names(setting: str, names: tuple[str, ...]) -> None:
    """Check that names could be those of modules.

    Raises:
        ConfigError: one is not; names the setting.
    """
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"{setting}: {name!r} is no name of a module, such as pandas or xml.etree")
