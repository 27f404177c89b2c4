"""The header of a frame."""

from __future__ import annotations

import pytest

from trio_runner.sandbox.framing import HEADER, FrameKind, pack_header, unpack_header


@pytest.mark.parametrize("kind", FrameKind)
@pytest.mark.parametrize("length", [0, 1, 2**32, 2**64 - 1])
def test_there_and_back(kind: FrameKind, length: int) -> None:
    header = pack_header(kind, length)
    assert len(header) == HEADER.size == 9
    assert unpack_header(header) == (kind, length)


def test_the_bytes_are_what_the_document_says() -> None:
    assert pack_header(FrameKind.RESULT, 258) == b"\x05\x00\x00\x00\x00\x00\x00\x01\x02"


@pytest.mark.parametrize("kind", [0, 10, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(ValueError, match=str(kind)):
        unpack_header(HEADER.pack(kind, 0))
