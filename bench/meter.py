"""What the processes of a stack did while a load ran: processor time and event-loop lag."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import attrs
import trio

from . import procfs
from .figures import Load
from .probe import LagGauge, LagProbe
from .processes import Process
from .stack import Stack

__all__ = ["Meter", "OwnLag"]


class OwnLag:
    """The lag of this process, which generates the load: if it is large, other figures suffer from it.

    Args:
        directory: for the file of the probe.
    """

    def __init__(self, directory: Path) -> None:
        self.gauge = LagGauge(directory / "requester.lag")
        self._probe = LagProbe(self.gauge.path)

    def install(self) -> None:
        """Begin to measure the running event loop."""
        trio.lowlevel.add_instrument(self._probe)


@attrs.frozen
class _Moment:
    at: float
    cpu: Mapping[str, float]


class Meter:
    """Measures from its construction to `load`.

    Args:
        stack: whose processes.
        own_lag: of this process.
        others: further processes, summed up under the name of the first.
    """

    def __init__(
        self, stack: Stack, own_lag: OwnLag, others: Mapping[str, list[Process]] | None = None
    ) -> None:
        self._stack = stack
        self._others = others or {}
        self._gauges = {"broker": stack.broker.gauge, "requester": own_lag.gauge}
        if stack.runner is not None:
            self._gauges["runner"] = stack.runner.gauge
        for gauge in self._gauges.values():
            if gauge is not None:
                gauge.begin()
        self._begin = self._now()

    def load(self, name: str, tasks: int) -> Load:
        """Return what has happened.

        Args:
            name: of the load.
            tasks: how many were done.
        """
        end, count = self._now(), max(1, tasks)
        spent = {kind: end.cpu[kind] - self._begin.cpu.get(kind, 0.0) for kind in end.cpu}
        return Load(
            name,
            tasks,
            end.at - self._begin.at,
            {kind: max(0.0, seconds) * 1000 / count for kind, seconds in spent.items()},
            {kind: gauge.longest() * 1000 for kind, gauge in self._gauges.items() if gauge is not None},
        )

    def _now(self) -> _Moment:
        cpu = {"broker": procfs.times(self._stack.broker.pid).own}
        if self._stack.runner is not None:
            cpu |= _of_runner(self._stack.runner)
        for name, processes in self._others.items():
            cpu[name] = sum(procfs.times(process.pid).own for process in processes)
        cpu["requester"] = time.process_time()
        return _Moment(time.perf_counter(), cpu)


def _of_runner(runner: Process) -> dict[str, float]:
    """Return the time of a runner, of its zygote, and of the workers: living ones and those waited for."""
    cpu = {"runner": procfs.times(runner.pid).own}
    below = procfs.descendants(runner.pid)
    if not below:
        return cpu  # handlers only
    zygotes = procfs.zygotes(runner.pid)
    cpu["zygote"] = sum(procfs.times(zygote).own for zygote in zygotes)
    workers = set(below) - set(zygotes)
    cpu["workers"] = procfs.times(zygotes[-1]).reaped + sum(procfs.times(worker).own for worker in workers)
    return cpu
