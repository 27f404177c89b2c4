"""The command as a person meets it, with one tiny scenario from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from bench.catalogue import SCENARIOS
from bench.command import main
from bench.load import burst
from bench.meter import Meter, OwnLag
from bench.stack import open_stack


def test_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert len(SCENARIOS) > 5
    assert all(scenario.name in shown and scenario.title in shown for scenario in SCENARIOS)


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--soak", "3"], ["--soak", "many"]])
def test_what_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.process
async def test_a_stack_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    own_lag = OwnLag(tmp_path)
    own_lag.install()
    async with open_stack(tmp_path, slots=2) as stack:
        assert stack.runner is not None
        processes = [stack.broker.pid, stack.runner.pid, *stack.runner.children()]
        meter = Meter(stack, own_lag)
        await burst(lambda: stack.requester.run("return 6 * 7"), 10)
        load = meter.load("ten", 10)
        stack.check()
    assert len(processes) >= 3
    assert {"broker", "runner", "zygote", "workers", "requester"} == set(load.cpu_ms_per_task)
    assert load.lag_ms["broker"] > 0
    assert load.lag_ms["runner"] > 0
    for process in processes:
        assert not await trio.Path(f"/proc/{process}").exists()
