"""Directories in use, abandoned, and none of ours."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from trio_runner.errors import ConfigError
from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.pool import open_process_executor
from trio_runner.executor.scratch_root import clear_abandoned, make_scratch_root
from trio_runner.executor.worker import Worker
from trio_runner.executor.zygote import start_zygote

from .tasks import wait_removed


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The place for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield tmp_path
    tmp_path.chmod(0o700)


def age(path: Path) -> None:
    """Make a directory look as if nothing had happened in it for a while."""
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago), follow_symlinks=False)


def abandoned() -> Path:
    """Return an old directory that nobody holds, with something in it."""
    path, lock = make_scratch_root()
    os.close(lock)
    (Path(path) / "1").mkdir()
    (Path(path) / "1" / "file").write_text("x")
    age(Path(path))
    return Path(path)


def test_it_is_private() -> None:
    path, lock = make_scratch_root()
    assert Path(path).stat().st_mode & 0o777 == 0o700
    os.close(lock)


def test_what_is_abandoned_is_removed() -> None:
    path = abandoned()
    assert clear_abandoned() == 1
    assert not path.exists()


def test_what_is_held_stays() -> None:
    path, lock = make_scratch_root()
    age(Path(path))
    assert clear_abandoned() == 0
    os.close(lock)
    assert clear_abandoned() == 1


def test_what_is_young_stays() -> None:
    _, lock = make_scratch_root()
    os.close(lock)
    assert clear_abandoned() == 0


def test_what_is_not_ours_stays(place: Path) -> None:
    (place / "precious").mkdir()
    (place / "trio-runner-link").symlink_to(place / "precious")
    (place / "trio-runner-file").write_text("x")
    (place / "other").mkdir()
    for entry in place.iterdir():
        age(entry)
    assert clear_abandoned() == 0
    assert len(list(place.iterdir())) == 4


def test_no_place_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(ConfigError, match=r"no directory for temporary files: No such file .* set TMPDIR"):
        make_scratch_root()


@pytest.mark.process
async def test_a_zygote_holds_its_directory_without_its_runner() -> None:
    def ignore(worker: Worker) -> None: ...

    zygote = await start_zygote(ProcessExecutorConfig(), ignore)
    spawned = zygote._spawned
    other = os.open("/", os.O_RDONLY)
    os.dup2(other, spawned.scratch_lock)  # closes ours, as the end of the runner would
    os.close(other)
    age(Path(spawned.scratch))
    assert clear_abandoned() == 0
    os.kill(zygote.pid, signal.SIGKILL)
    with trio.fail_after(30):
        await zygote.serve(lambda: None)


@pytest.mark.process
async def test_an_executor_clears_what_others_left() -> None:
    path = abandoned()
    async with open_process_executor(ProcessExecutorConfig(workers=1)):
        await wait_removed(path)
