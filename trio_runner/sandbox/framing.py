"""Frames between the runner and a worker: the same few bytes in both directions.

A frame is one byte of kind, eight bytes of length (unsigned, big-endian) and that many bytes of payload.
"""

from __future__ import annotations

import enum
import struct

__all__ = [
    "DIGEST_SIZE",
    "HEADER",
    "NONCE_SIZE",
    "PROGRAM_LIMIT",
    "FrameKind",
    "pack_header",
    "unpack_header",
]

HEADER = struct.Struct("!BQ")
PROGRAM_LIMIT = 64 * 1024
"""Bytes of a compiled program that is kept for later tasks; five hundred of them are."""
DIGEST_SIZE = 64
"""Characters of the digest at the beginning of `FrameKind.APPROVED`."""
NONCE_SIZE = 16
"""Bytes of the nonce of `FrameKind.KEEP`: too many to be guessed, or to be there by chance."""


class FrameKind(enum.IntEnum):
    """What a frame carries.

    A worker receives one `TASK`, perhaps after a `REHEARSE`, and answers with at most one `STARTED`, at most
    one `APPROVED`, any number of `PRINTED`, and exactly one of `RESULT` and `FAILED`.

    A worker that may be given another task receives a `KEEP` right before its `TASK`. It answers with a
    `READY` before everything else, and with a second one when it can take the next task. That `STARTED` and
    `APPROVED` cannot be forged holds for its first task only.
    """

    TASK = 1
    """Runner to worker: the task's settings, JSON exactly as the broker sent them."""
    STARTED = 2
    """The settings were read. JSON object: ``continueOnFail`` (bool), ``workflowId``, ``workflowName``,
    ``nodeId``, ``nodeName`` (str). Written before any of the person's code runs: it cannot be forged."""
    APPROVED = 3
    """The code is fit to run. The payload is the digest of the code (ASCII), then the compiled program if it
    was not known from an earlier task and is not too large to be kept. Written straight after `STARTED`,
    before any of the person's code runs, always. So it cannot be forged: a runner takes it in this place
    only."""
    PRINTED = 4
    """One ``print()``. JSON object: ``params`` (list of str), ``text`` (str)."""
    RESULT = 5
    """The JSON of the result."""
    REHEARSE = 7
    """Runner to worker, without payload: its task is likely to be the next, and there is time until then."""
    KEEP = 8
    """Runner to worker, right before `TASK`: do not end after it. The payload is a nonce, new each time."""
    READY = 9
    """The payload is the nonce of the latest `KEEP`: what a task before left in the socket cannot have it."""
    FAILED = 6
    """JSON object: ``kind`` (`trio_runner.scheduling.outcome.FailureKind`), ``message``, ``description``,
    ``stack`` (str), ``lineNumber`` (int or null)."""


def pack_header(kind: FrameKind, length: int) -> bytes:
    """Return the nine bytes before a payload of `length` bytes."""
    return HEADER.pack(kind, length)


def unpack_header(header: bytes) -> tuple[FrameKind, int]:
    """Return kind and payload length of a frame.

    Raises:
        ValueError: the kind is none of `FrameKind`.
    """
    kind, length = HEADER.unpack(header)
    return FrameKind(kind), length
