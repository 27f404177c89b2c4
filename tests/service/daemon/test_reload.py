"""Settings that are read again: taken, told, or refused whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from trio_runner.errors import ConfigError
from trio_runner.service.daemon.reload import Reloader
from trio_runner.service.settings.run import RunSettings
from trio_runner.service.settings.table import Reading

from ..logs.captured import capture_logs


class Stage:
    """A daemon that is told new settings; `now` is what a reading finds."""

    def __init__(self) -> None:
        self.now: Reading[RunSettings] | ConfigError = Reading(RunSettings(), {}, {}, ("odd as ever",))
        self.refuses = False
        self.applied: list[RunSettings] = []
        self.hidden: list[str] = []
        self.reloader = Reloader(
            self.read(), read=self.read, apply=self.apply, oddities=self.oddities, hide=self.hidden.extend
        )

    def read(self) -> Reading[RunSettings]:
        if isinstance(self.now, ConfigError):
            raise self.now
        return self.now

    async def apply(self, reading: Reading[RunSettings]) -> None:
        await trio.lowlevel.checkpoint()
        if self.refuses:
            raise ConfigError("contradiction")
        self.applied.append(reading.settings)

    def oddities(self, reading: Reading[RunSettings]) -> Iterator[str]:
        yield from reading.warnings

    async def reload(self, settings: RunSettings, *warnings: str) -> list[tuple[str, str]]:
        self.now = Reading(settings, {}, {}, warnings)
        with capture_logs() as lines:
            await self.reloader.reload()
        return [(line["log_level"], line["event"]) for line in lines]


async def test_what_has_changed_is_told_and_what_needs_a_restart_is_warned_of() -> None:
    stage = Stage()
    settings = RunSettings(max_concurrency=7, health_check=True)
    assert await stage.reload(settings) == [
        ("info", "max-concurrency is now 7, was 5"),
        (
            "warning",
            "health-check cannot change while the daemon runs: it stays false until a restart makes it true",
        ),
    ]
    assert stage.applied == [settings]
    again = await stage.reload(settings)
    assert [line for level, line in again if level == "info"] == []
    assert len(again) == 1, "it is still not what the file says"


async def test_nothing_new() -> None:
    assert await Stage().reload(RunSettings()) == [("info", "The settings are as they were")]


async def test_only_new_oddities_are_told() -> None:
    stage = Stage()
    lines = await stage.reload(RunSettings(), "odd as ever", "odd and new")
    assert ("warning", "odd and new") in lines
    assert ("warning", "odd as ever") not in lines
    assert ("warning", "odd and new") not in await stage.reload(RunSettings(), "odd and new")
    assert ("warning", "odd as ever") in await stage.reload(RunSettings(), "odd as ever")


async def test_new_secrets_are_hidden_before_anything_is_done_with_them() -> None:
    stage = Stage()
    stage.refuses = True
    with pytest.raises(ConfigError, match="contradiction"):
        await stage.reload(RunSettings(auth_token="s3cret"))
    assert "s3cret" in stage.hidden


@pytest.mark.parametrize("unreadable", [True, False])
async def test_what_is_refused_is_as_if_it_had_never_been(unreadable: bool) -> None:
    stage = Stage()
    stage.refuses = not unreadable
    stage.now = ConfigError("broken") if unreadable else Reading(RunSettings(max_concurrency=7), {})
    with capture_logs() as lines, pytest.raises(ConfigError):
        await stage.reloader.reload()
    assert not lines
    assert not stage.applied
    stage.refuses = False
    assert await stage.reload(RunSettings(max_concurrency=7)) == [("info", "max-concurrency is now 7, was 5")]
