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

    def __attrs_post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"workers must be at least 1, not {self.workers}")
        if self.warm is not None and self.warm < 0:
            raise ConfigError(f"warm must be at least 0, not {self.warm}")
        if self.max_payload < 1:
            raise ConfigError(f"max_payload must be at least 1 byte, not {self.max_payload}")
        if not self.start_limit > 0:
            raise ConfigError(f"start_limit must be more than 0 seconds, not {self.start_limit}")

        check_module_names("preload", self.preload)

    @property
    def warm_workers(self) -> int:
        """How many idle workers to keep."""
        return self.workers if self.warm is None else self.warm


def check_module_names(setting: str, names: tuple[str, ...]) -> None:
    """Check that names could be those of modules.

    Raises:
        ConfigError: one is not; names the setting.
    """
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"{setting}: {name!r} is no name of a module, such as pandas or xml.etree")
