"""Several observers as one."""

from __future__ import annotations

from ..scheduling.observer import Event, Observer

__all__ = ["Observers"]


class Observers:
    """Tells several observers everything, in their order.

    Args:
        *observers: who is told from the beginning.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observe = [observer.observe for observer in observers]

    def add(self, observer: Observer) -> None:
        """Tell one more, from now on."""
        self._observe.append(observer.observe)

    def observe(self, event: Event) -> None:
        """Tell everybody."""
        for observe in self._observe:
            observe(event)
