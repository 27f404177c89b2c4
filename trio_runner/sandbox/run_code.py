"""The two modes of a task."""

from __future__ import annotations

from types import CodeType

from .program import call_program
from .task_settings import TaskSettings

__all__ = ["Run"]


class Run:
    """One run of a task's code over its items.

    Attributes:
        settings: what the task is.
        builtins: the builtins of its code.
    """

    def __init__(self, settings: TaskSettings, program: CodeType, builtins: dict[str, object]) -> None:
        self.settings = settings
        self._program = program
        self.builtins = builtins
        self._index: int | None = None

    @property
    def where(self) -> str:
        """Which item is being worked on, for the description of a failure; empty if all are at once."""
        if self._index is None:
            return ""
        return f"Item {self._index} (counted from 0) of {len(self.settings.items)}."

    def result(self) -> object:
        """Run the code and return the result of the task; whatever the code raises passes through."""
        if not self.settings.each_item:
            inputs = {"_items": self.settings.items, "_query": self.settings.query}
            return call_program(self._program, self.builtins, inputs)
        output: list[object] = []
        for index, item in enumerate(self.settings.items):
            self._index = index
            value = call_program(self._program, self.builtins, {"_item": item})
            if value is not None:
                output.append(_as_item(value, index))
        self._index = None
        return output


def _as_item(value: object, index: int) -> dict[str, object]:
    """Return the output item for what the code returned for the input item at `index`."""
    item: dict[str, object] = {"json": value, "pairedItem": {"item": index}}
    if isinstance(value, dict):
        if "json" in value:
            item["json"] = value["json"]
        else:
            item["json"] = {key: part for key, part in value.items() if key != "binary"}
        if "binary" in value:
            item["binary"] = value["binary"]
    return item
