"""The runner's hold on a worker: descriptors, and what its end does to them."""

from __future__ import annotations

import os

import pytest

from trio_runner.executor.worker import Worker

from .tasks import Keeper, open_descriptors


def test_its_descriptors_are_closed_when_it_has_ended_and_is_released() -> None:
    before = open_descriptors()
    for order in ("end", "release"):
        keeper = Keeper()
        worker = Worker(1, keeper)
        for descriptor in worker.hand_over():
            os.close(descriptor)
        worker.be_born(os.getpid(), os.pidfd_open(os.getpid()))
        worker.release() if order == "release" else worker.end(0)
        worker.end(0) if order == "release" else worker.release()
        worker.release()
        assert open_descriptors() == before
        worker.kill()
        worker.retire()
        assert keeper.asked == []


def test_what_it_sent_stays_readable_after_its_end_even_if_its_end_is_held() -> None:
    worker = Worker(1, Keeper())
    channel, stderr = worker.hand_over()
    os.write(channel, b"last")
    worker.end(0)
    assert worker.channel.recv(10) == b"last"
    assert worker.channel.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        os.write(channel, b"more")
    worker.release()
    os.close(channel)
    os.close(stderr)


def test_a_worker_that_is_hung_up_on_can_still_be_heard() -> None:
    worker = Worker(1, Keeper())
    channel, stderr = worker.hand_over()
    worker.hang_up()
    worker.hang_up()
    assert os.read(channel, 10) == b""
    os.write(channel, b"last")
    assert worker.channel.recv(10) == b"last"
    os.close(channel)
    os.close(stderr)
    worker.end(0)
    worker.release()
    worker.hang_up()


def test_native_output_beyond_the_pipe_is_dropped_not_waited_for() -> None:
    worker = Worker(1, Keeper())
    channel, stderr = worker.hand_over()
    with pytest.raises(BlockingIOError):
        while True:
            os.write(stderr, b"x" * 65536)
    os.close(channel)
    os.close(stderr)
    worker.end(0)
    assert worker.last_words() == "x" * 4096
    worker.release()
