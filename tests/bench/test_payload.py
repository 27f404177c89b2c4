"""Payloads of a wanted size."""

from __future__ import annotations

import json

import pytest

from bench.payload import items_json


@pytest.mark.parametrize("mebibytes", [0.01, 0.5, 2])
def test_a_payload_is_a_list_of_items_of_about_the_size(mebibytes: float) -> None:
    data = items_json(mebibytes)
    items = json.loads(data)
    assert abs(len(data) - mebibytes * 1024**2) < 2048
    assert all(isinstance(item["json"], dict) for item in items)


def test_the_smallest_payload_is_one_item() -> None:
    assert len(json.loads(items_json(0))) == 1
