"""Programs that are known to be fit to run, told to the zygote so that its workers need not look again."""

from __future__ import annotations

from collections import OrderedDict

from .reply import Approved
from .worker import Worker
from .zygote import Zygote

__all__ = ["Approvals"]

# Digests of code kept, as many as n8n keeps analyses.
_KEPT = 500


class Approvals:
    """What the workers of one zygote have approved of."""

    def __init__(self) -> None:
        self._programs: OrderedDict[str, bytes] = OrderedDict()

    def note(self, approved: Approved, worker: Worker, zygote: Zygote | None) -> None:
        """Have the zygote know of a program, unless it does, or the word of the worker counts for nothing.

        Args:
            approved: what the worker sent.
            worker: who sent it. One that has run a task before may have been made to vouch for any code.
            zygote: the one in use.
        """
        if zygote is None or worker.keeper is not zygote or worker.served:
            return
        digest = approved.digest
        if digest in self._programs:
            self._programs.move_to_end(digest)
            return
        forget = self._programs.popitem(last=False)[0] if len(self._programs) >= _KEPT else None
        self._programs[digest] = approved.program
        zygote.approve(digest, approved.program, forget)

    def clear(self) -> None:
        """Forget all: there is a new zygote, which knows none."""
        self._programs.clear()
