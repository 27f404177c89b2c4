"""The process of a zygote that goes on as another process, as it does where it has a PID namespace."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

import trio_runner
from trio_runner.executor import spawn
from trio_runner.executor.spawn import ZygoteProcess, spawn_zygote
from trio_runner.sandbox.walls.kernel import MACHINE

from .tasks import children_of, is_there, watching

pytestmark = [pytest.mark.process, pytest.mark.skipif(not MACHINE, reason="Linux on x86-64 or arm64")]

_MOVE = """\
import os, signal, socket, sys
channel = socket.socket(fileno=int(sys.argv[-1]))
sys.path.append(sys.argv[1])
from trio_runner.sandbox.walls import namespaces
namespaces.become_first()
channel.send(b'%d' % os.getpid())
"""


async def moved(directory: Path, body: str) -> tuple[ZygoteProcess, int]:
    """Start a process that moves and then runs `body`; return its process id too."""
    root, path = Path(trio_runner.__file__).parents[1], directory / "python"
    path.write_text(f"#!{sys.executable} -I\n{_MOVE.replace('sys.argv[1]', repr(str(root)))}{body}\n")
    path.chmod(0o755)
    spawned = await spawn_zygote(str(path))
    spawned.channel.setblocking(False)
    await trio.lowlevel.wait_readable(spawned.channel)
    pid = int(spawned.channel.recv(20))
    assert pid != spawned.started.pid
    await spawned.settle(pid)
    assert pid in children_of(os.getpid())
    assert spawned.started.pid not in children_of(os.getpid())
    return spawned, pid


async def close(spawned: ZygoteProcess, pid: int) -> None:
    """Leave nothing, and see that it was reaped."""
    assert pid not in children_of(os.getpid())
    await spawned.remove_scratch()
    spawned.close()


async def test_it_is_waited_for_and_its_status_is_known(tmp_path: Path) -> None:
    spawned, pid = await moved(tmp_path, "channel.recv(1)\nsys.exit(7)")
    spawned.channel.send(b"x")
    async with trio.open_nursery() as nursery:  # several may wait
        nursery.start_soon(spawned.wait)
        nursery.start_soon(spawned.wait)
    assert spawned.returncode == 7
    assert spawned.cause_of_death() == "it ended with exit status 7"
    spawned.kill()  # too late to do anything
    spawned.channel.close()
    await close(spawned, pid)


async def test_it_ends_in_good_order_when_hung_up_on(tmp_path: Path) -> None:
    spawned, pid = await moved(tmp_path, "channel.recv(1)")
    assert await spawned.end()
    await close(spawned, pid)


async def test_it_is_killed_wherever_it_is(tmp_path: Path) -> None:
    spawned, pid = await moved(tmp_path, "signal.pause()")
    with watching(pid) as (process,):
        spawned.kill()
        await process.wait_dead()
    assert not await spawned.end()
    assert spawned.cause_of_death() == "it was ended by SIGKILL"
    await close(spawned, pid)


async def test_a_cancelled_wait_takes_nothing_from_a_later_one(tmp_path: Path) -> None:
    spawned, pid = await moved(tmp_path, "channel.recv(1)\nsys.exit(3)")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spawned.wait)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert not await spawned.end()
    assert spawned.returncode == 3
    await close(spawned, pid)


async def test_somebody_else_who_has_waited_for_it_does_not_hold_it_up(tmp_path: Path) -> None:
    spawned, pid = await moved(tmp_path, "channel.recv(1)")
    spawned.channel.send(b"x")
    await trio.to_thread.run_sync(os.waitpid, pid, 0)
    assert not await spawned.end()
    assert not is_there(pid)
    await close(spawned, pid)


async def test_control_groups_are_removed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be thousands, and the kernel takes its time for each."""
    spawned = await spawn_zygote(sys.executable)
    threads: list[int] = []
    for name in ("kill_groups", "remove_groups"):
        monkeypatch.setattr(spawn, name, lambda base: threads.append(threading.get_ident()))
    assert await spawned.end()
    await spawned.kill_leftovers()
    await spawned.remove_scratch()
    spawned.close()
    assert len(threads) == 2
    assert threading.get_ident() not in threads
    assert not await trio.Path(spawned.scratch).exists()
