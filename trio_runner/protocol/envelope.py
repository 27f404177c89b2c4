"""Taking one text frame apart into its top-level fields without decoding what is in them.

A payload of 100 MB is skipped over, not built into objects: the process that supervises tasks has no use for
them, no room and no time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from ..errors import RemoteProtocolError
from .surrogates import mask_escaped_surrogates

__all__ = ["split_fields"]


class _Name:
    """A field name that equals no other, so that a mapping keeps every field of a message in its order."""

    def __init__(self, text: str) -> None:
        self.text = text


_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ordered_decoder = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=lambda _, text: _Name(text))


def split_fields(frame: bytes | str) -> Mapping[str, memoryview]:
    """Split one JSON object into its top-level fields, each still JSON; of a repeated field the last counts.

    Args:
        frame: the text of one message; bytes are taken to be UTF-8, and values are not looked into.

    Raises:
        RemoteProtocolError: the frame is not one JSON object, or nests too deeply to be read.
    """
    try:
        data = frame.encode() if isinstance(frame, str) else frame
        try:
            return {name: memoryview(raw) for name, raw in _decoder.decode(data).items()}
        except ValueError:
            return _split_around_surrogates(data)
    except RecursionError as exc:
        raise RemoteProtocolError("message is nested too deeply") from exc
    except ValueError as exc:
        raise RemoteProtocolError(f"message is not a JSON object: {exc}") from exc


_UP_TO_A_NAME = re.compile(rb'[^"]*')
_NAME_AND_COLON = re.compile(rb'"(?:[^"\\]|\\.)*"[ \t\n\r]*:[ \t\n\r]*')


def _split_around_surrogates(data: bytes) -> Mapping[str, memoryview]:
    """Split what msgspec refuses only because of escaped lone surrogates.

    It is given a masked copy. What it finds there has the same place in the original, and the places follow
    from the order of the fields and their lengths.

    Raises:
        ValueError: the data is no JSON object even so.
        RecursionError: it nests too deeply.
    """
    masked = mask_escaped_surrogates(data)
    view, position = memoryview(data), 0
    fields: dict[str, memoryview] = {}
    for name, raw in _ordered_decoder.decode(masked).items():
        for pattern in (_UP_TO_A_NAME, _NAME_AND_COLON):
            match = pattern.match(masked, position)
            assert match is not None  # the decoder has read the same bytes
            position = match.end()
        end = position + len(memoryview(raw))
        fields[name.text] = view[position:end]
        position = end
    return fields
