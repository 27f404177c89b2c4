"""What a command line asks for, before anything is sent."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from trio_runner.errors import ConfigError
from trio_runner.service.submit.plan import SubmitOptions, SubmitPlan, make_plan


def plan_for(**options: Any) -> SubmitPlan:
    return make_plan(SubmitOptions(**options))


def test_code_alone_is_one_task_without_items() -> None:
    plan = plan_for(code="return 6 * 7")
    (piece,) = plan.pieces()
    assert plan.task_type == "python"
    assert (piece.number, piece.count) == (1, 0)
    assert piece.settings.decode() == {"code": "return 6 * 7", "nodeMode": "runOnceForAllItems", "items": []}


def test_code_from_a_file_and_items_from_another(tmp_path: Path) -> None:
    script, items = tmp_path / "double.py", tmp_path / "items.csv"
    script.write_text("return _item['json']")
    items.write_text("n\n1\n2\n")
    plan = plan_for(
        script=str(script), items=str(items), mode="each", query='{"q": 1}', continue_on_fail=True
    )
    (piece,) = plan.pieces()
    assert plan.code_name == "double.py"
    assert piece.settings.decode() == {
        "code": "return _item['json']",
        "nodeMode": "runOnceForEachItem",
        "items": [{"json": {"n": "1"}}, {"json": {"n": "2"}}],
        "query": {"q": 1},
        "continueOnFail": True,
    }


def test_code_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"return 1\n")))
    plan = plan_for(script="-")
    assert (plan.code, plan.code_name) == ("return 1\n", "standard input")


@pytest.mark.parametrize(
    ("count", "split", "counts"),
    [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2]), (1, 1, [1]), (0, 3, []), (7, None, [7]), (0, None, [0])],
)
def test_items_are_split_over_tasks(tmp_path: Path, count: int, split: int | None, counts: list[int]) -> None:
    items = tmp_path / "items.json"
    items.write_text(str(list(range(count))))
    plan = plan_for(code="return _items", items=str(items), split=split)
    pieces = list(plan.pieces())
    assert [piece.count for piece in pieces] == counts
    assert plan.pieces_in_all == len(pieces)
    assert [item["json"] for piece in pieces for item in piece.settings.decode()["items"]] == list(
        range(count)
    )
    assert [piece.first for piece in pieces] == [1 + sum(counts[:index]) for index in range(len(counts))]


@pytest.mark.parametrize(
    ("query", "value"), [("where is it?", "where is it?"), ("5", "5"), ("", ""), (' {"a": [1]}', {"a": [1]})]
)
def test_a_query_is_a_text_or_an_object(query: str, value: object) -> None:
    (piece,) = plan_for(code="return _query", query=query).pieces()
    assert piece.settings.decode()["query"] == value


def test_other_task_types_get_their_settings_untouched(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(' {"article": "bolt",  "n": 1.50}\n')
    plan = plan_for(task_type="price", settings=str(settings))
    (piece,) = plan.pieces()
    assert (plan.task_type, piece.settings.data) == ("price", b'{"article": "bolt",  "n": 1.50}')


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "no code: name a FILE, or give the code itself with -c CODE"),
        ({"script": "a.py", "code": "return 1"}, "code is given twice"),
        ({"script": "-", "items": "-"}, "code and items cannot both come from standard input"),
        ({"script": "missing.py"}, "missing.py: cannot be read: No such file or directory"),
        ({"code": "  \n"}, "the code is empty"),
        ({"code": "return 1", "split": 5}, "--split needs --items"),
        ({"code": "return 1", "items_format": "csv"}, "--items-format needs --items"),
        ({"code": "return 1", "mode": "each"}, "--mode each needs --items"),
        ({"code": "return 1", "query": '{"a": '}, "--query begins like a JSON object but is none"),
        ({"task_type": "price"}, "--task-type needs --settings FILE beside it"),
        ({"settings": "s.json"}, "--settings needs --task-type TYPE beside it"),
        ({"task_type": "t", "settings": "s", "code": "c"}, "-c is for Python tasks"),
        ({"task_type": "t", "settings": "s", "script": "c.py"}, "a code file is for Python tasks"),
        ({"task_type": "t", "settings": "s", "mode": "all"}, "--mode is for Python tasks"),
        (
            {"task_type": "t", "settings": "s", "continue_on_fail": True},
            "--continue-on-fail is for Python tasks",
        ),
        ({"task_type": "t", "settings": "missing.json"}, "missing.json: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_for(**options)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_are_no_json_are_refused(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text("{article: bolt}")
    with pytest.raises(ConfigError, match=r"settings\.json: the settings are not JSON"):
        plan_for(task_type="price", settings=str(settings))
