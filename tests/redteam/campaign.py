"""Runs attacks, one after the other on each executor, and reports what each of them got. A program.

It is given a `Plan` as JSON, and writes one `Report` a line. It is the runner of the attacked tasks: a token
is in its environment and in its memory, as in the real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.contract import ExecutorEvent, Job, OnEvent, Printed
from trio_runner.executor.pool import open_process_executor
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.outcome import Cancelled, Completed, Outcome

from .attack import Attack, Evidence, ending, loot, mentions_token
from .catalogue import CATALOGUE
from .neighbour import Neighbourhood
from .settings import config_of, setting_of
from .stage import TOKEN_VARIABLE, Stage, new_token, open_stage

# Seconds for the task that comes after an attack.
_NEXT_LIMIT = 30.0
_NEXT = "return [len(_items), sum(range(100))]"
_PLAIN_NEIGHBOUR = "total = 0\nfor number in range(60000): total += number\nreturn total"
LEFT = "left the language"


@attrs.frozen
class Plan:
    """What to do.

    Attributes:
        attacks: by name.
        checked: whether the language is checked, and nothing may be imported.
        disabled: the walls to switch off.
        look_only: run none of the attacks, only say which walls would stand.
    """

    attacks: Sequence[str]
    checked: bool
    disabled: Sequence[str] = ()
    look_only: bool = False


@attrs.frozen
class Report:
    """What came of one attack.

    Attributes:
        attack: its name.
        ending: how its task ended, see `attack.ending`.
        gains: everything the attacker got.
        stopped: what it tried in vain, as it said itself.
        neighbour: what happened to the neighbour; empty if nothing did.
        following: what happened to the next task; empty if nothing did.
        seconds: what it took, everything that belongs to it included.
    """

    attack: str
    ending: str
    gains: Sequence[str]
    stopped: Sequence[str] = ()
    neighbour: str = ""
    following: str = ""
    seconds: float = 0.0


class _Range:
    """One executor with its stage and its neighbour."""

    def __init__(self, executor: Any, stage: Stage, nursery: trio.Nursery, *, checked: bool) -> None:
        self._executor = executor
        self._stage = stage
        self._checked = checked
        self._neighbourhood = Neighbourhood(executor, nursery)
        self._wrong: list[str] = []

    async def walls(self) -> dict[str, object]:
        """Return which walls stand, and which are missing and why."""
        await self._executor._supply.ready.wait()
        zygote = self._executor._supply.current
        return {"walls": zygote.walls, "missing": dict(zygote.missing)}

    async def attack(self, attack: Attack, mark: str) -> Report:
        """Run one attack and everything that belongs to it."""
        if not self._checked:
            await self._neighbourhood.move_in()
            if attack.finish in ("close", "kill"):
                return await self._end_from_outside(attack, mark)
        zygote = self._zygote_pid()
        facts = self._stage.facts(mark, zygote)
        self._wrong = []
        async with trio.open_nursery() as nursery:
            if self._checked:
                nursery.start_soon(self._be_neighbour)
            ready = attack.finish == "ready"
            # What is refused ends by itself, and on a busy machine perhaps not within a short limit.
            refused = self._checked and attack.refused_when_checked
            limit = max(attack.limit, _NEXT_LIMIT) if refused else attack.limit
            outcome, prints = await self._run(attack.code, facts, limit, ready=ready)
        following = await self._next()
        sequel = None
        if attack.sequel and not self._checked:
            sequel, _ = await self._run(attack.sequel, facts, _NEXT_LIMIT)
            sequel = Evidence(sequel).result
        evidence = Evidence(outcome, tuple(prints), sequel)
        gains = [*self._gains(attack, evidence), *await self._stage.damage(mark)]
        if self._zygote_pid() != zygote:
            gains.append("ended the process that forks workers")
        neighbour = "".join(self._wrong) if self._checked else await self._neighbourhood.ask()
        result = evidence.result
        stopped = result.get("stopped", ()) if isinstance(result, dict) else ()
        return Report(attack.name, ending(outcome), gains, stopped, neighbour, following)

    async def leave(self) -> str:
        """Have the last neighbour finish."""
        return await self._neighbourhood.move_out()

    def _gains(self, attack: Attack, evidence: Evidence) -> list[str]:
        gains = [*loot(evidence.result), *loot(evidence.sequel)]
        if mentions_token(evidence):
            gains.append("saw a token")
        if self._checked and isinstance(evidence.result, dict) and evidence.result.get("reached"):
            gains.append(LEFT)
        if attack.gain is not None and not (self._checked and attack.refused_when_checked):
            gains += attack.gain(evidence)
        return gains

    async def _end_from_outside(self, attack: Attack, mark: str) -> Report:
        config = self._executor._config
        if attack.finish == "close":
            how = await _run_closed(attack, config, mark)
        else:
            how = await _run_killed(attack, mark, sorted(config.sandbox.disabled))
        gains = await self._stage.damage(mark)
        following, neighbour = await self._next(), await self._neighbourhood.ask()
        return Report(attack.name, how, gains, (), neighbour, following)

    def _zygote_pid(self) -> int:
        zygote = self._executor._supply.current
        return 0 if zygote is None else int(zygote.pid)

    async def _run(
        self, code: str, facts: dict[str, object], limit: float, *, ready: bool = False
    ) -> tuple[Outcome, list[str]]:
        prints: list[str] = []
        with trio.move_on_after(limit) as scope:
            on_event = _collect(prints, scope if ready else None)
            return await self._executor.run(job(code, facts), on_event), prints
        return Cancelled(), prints

    async def _next(self) -> str:
        outcome, _ = await self._run(_NEXT, {}, _NEXT_LIMIT)
        fine = isinstance(outcome, Completed) and outcome.result.decode() == [1, 4950]
        return "" if fine else f"the next task: {ending(outcome)}"

    async def _be_neighbour(self) -> None:
        outcome, _ = await self._run(_PLAIN_NEIGHBOUR, {}, _NEXT_LIMIT)
        if not isinstance(outcome, Completed) or outcome.result.decode() != sum(range(60000)):
            self._wrong.append(f"the neighbour: {ending(outcome)}")


def job(code: str, facts: dict[str, object]) -> Job:
    """Return the task of an attack."""
    settings = {"code": code, "nodeMode": "runOnceForAllItems", "items": [{"json": facts}]}
    return Job("attack", "python", RawJson.of(settings))


def _collect(prints: list[str], ready: trio.CancelScope | None) -> OnEvent:
    """Collect prints, and cancel a scope at the print that says that everything is in its place."""

    def on_event(event: ExecutorEvent) -> None:
        if isinstance(event, Printed):
            prints.append(event.text)
            if ready is not None and event.text == "ready":
                ready.cancel()

    return on_event


async def _run_closed(attack: Attack, config: ProcessExecutorConfig, mark: str) -> str:
    """Run an attack on an executor of its own that is closed under it; return how it ended."""
    ended: list[Outcome] = []
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with open_process_executor(config) as executor:

                async def run() -> None:
                    with trio.CancelScope(shield=True):
                        task = job(attack.code, {"mark": mark})
                        ended.append(await executor.run(task, _collect([], scope)))

                nursery.start_soon(run)
                await trio.sleep(attack.limit)
    return ending(ended[0])


async def _run_killed(attack: Attack, mark: str, disabled: Sequence[str]) -> str:
    """Run an attack in a runner of its own that is killed under it; return how it ended."""
    words = [sys.executable, "-B", "-m", "tests.redteam.doomed", attack.name, mark, attack.setting, *disabled]
    process = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = b""
    with trio.fail_after(_NEXT_LIMIT):
        while b"ready" not in said:
            data = await process.stdout.receive_some()
            assert data, "the runner ended by itself"
            said += data
    process.kill()
    await process.wait()
    await process.stdout.aclose()
    return "runner killed"


async def _run_plan(plan: Plan) -> None:
    wanted = set(plan.attacks)
    chosen: dict[str, list[Attack]] = {}
    for attack in CATALOGUE:
        if attack.name in wanted:
            chosen.setdefault(setting_of(attack, checked=plan.checked), []).append(attack)
    for setting, attacks in chosen.items():
        await _run_setting(setting, attacks, plan)


async def _run_setting(setting: str, attacks: Sequence[Attack], plan: Plan) -> None:
    async with open_stage() as stage:
        ports = [listener.socket.getsockname()[1] for listener in stage.listeners[:3]]
        config = config_of(setting, plan.disabled, ports=ports)
        await _run_on_stage(config, stage, setting, attacks, plan)


async def _run_on_stage(
    config: ProcessExecutorConfig, stage: Stage, setting: str, attacks: Sequence[Attack], plan: Plan
) -> None:
    async with open_process_executor(config) as executor, trio.open_nursery() as nursery:
        place = _Range(executor, stage, nursery, checked=plan.checked)
        say({"setting": setting, **await place.walls()})
        for attack in () if plan.look_only else attacks:
            say({"begin": attack.name})
            mark = f"rt-{CATALOGUE.index(attack)}-{os.getpid()}"[:15]  # as long as a name of a process may be
            start = trio.current_time()
            report = await place.attack(attack, mark)
            say(attrs.asdict(attrs.evolve(report, seconds=trio.current_time() - start)))
        if why := await place.leave():
            raise AssertionError(why)


def say(value: object) -> None:
    """Write one line for whoever started this."""
    os.write(1, json.dumps(value).encode() + b"\n")


def main() -> None:
    """Carry out the plan that the first argument is."""
    os.environ.setdefault(TOKEN_VARIABLE, new_token())
    trio.run(_run_plan, Plan(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
