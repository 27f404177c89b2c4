"""A zygote to ask, at any time: a new one when one is lost, and a better one in its place when there is one.

Theory of operation. The first zygote has loaded nothing and is ready at once. Modules that are to be loaded
ahead of need are loaded by the next one, and when it is ready it takes over; so does one that was asked for
because modules have changed on disk, or the configuration. The old one forks no more, and ends when its last
task has.

A module that must not be loaded there is told from the outside: the zygote names each before it loads it, and
gives itself up when one has harm in it, since a module cannot be unloaded. The next attempt is made without.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..errors import ConfigError
from ..scheduling.backoff import Backoff
from ..scheduling.observer import ExecutorTrouble, Observer
from .config import ProcessExecutorConfig
from .worker import Worker
from .zygote import UnfitModule, Zygote, start_zygote

__all__ = ["ZygoteSupply"]


class ZygoteSupply:
    """Holds the zygote that is in use.

    Args:
        config: the interpreter, the policy and the modules to load.
        observer: told of zygotes that are lost and of modules that are left out.
        backoff: how long to wait before one is started again.
        on_worker_ended: called with each worker that has ended.
        on_arrival: called with each zygote that comes into use.

    Attributes:
        current: the zygote in use, if there is one.
        ready: set while there is one.
    """

    def __init__(
        self,
        config: ProcessExecutorConfig,
        observer: Observer,
        backoff: Backoff,
        on_worker_ended: Callable[[Worker], None],
        on_arrival: Callable[[Zygote], None],
    ) -> None:
        self.current: Zygote | None = None
        self.ready = trio.Event()
        self._config = config
        self._observer = observer
        self._backoff = backoff
        self._on_worker_ended = on_worker_ended
        self._on_arrival = on_arrival
        self._renewing = trio.Lock()
        self._closed = False
        self._nursery: trio.Nursery | None = None
        self._begun = trio.Event()  # there is a nursery

    async def start(self) -> Zygote:
        """Start a zygote that has loaded nothing.

        Raises:
            ConfigError: see `start_zygote`.
        """
        return await start_zygote(self._config, self._on_worker_ended)

    async def supervise(self, first: Zygote) -> None:
        """Keep a zygote. Ends by cancellation, with nothing left of any."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._begun.set()
            self._install(first)
            self._preload()
            await trio.sleep_forever()

    async def renew(self, config: ProcessExecutorConfig | None = None) -> None:
        """Start a zygote that loads everything afresh, and let it take over when it is ready.

        Args:
            config: the configuration for it and all that come after it; None: as before.

        Raises:
            ConfigError: it cannot be started; the one there is stays in use.
            trio.ClosedResourceError: this supply has been closed.

        Cancellation:
            Nobody waits for the new one any more; it takes over all the same.
        """
        if not self._closed:
            await self._begun.wait()
        if self._closed or self._nursery is None:
            raise trio.ClosedResourceError("this executor has been closed")
        errors: list[ConfigError] = []
        ended = trio.Event()
        self._nursery.start_soon(self._renew_for_somebody, config, errors, ended)
        await ended.wait()
        if self._closed:
            raise trio.ClosedResourceError("this executor has been closed")
        for error in errors:
            raise error

    async def _renew_for_somebody(
        self, config: ProcessExecutorConfig | None, errors: list[ConfigError], ended: trio.Event
    ) -> None:
        """Renew in our own nursery: when that ends, nothing is left of a zygote that is being started."""
        try:
            await self._renew(config)
        except ConfigError as exc:
            errors.append(exc)
        finally:
            ended.set()

    async def _renew(self, config: ProcessExecutorConfig | None = None) -> None:
        async with self._renewing:
            wanted = config or self._config
            zygote = await self._start_preloaded(wanted)
            self._config = wanted
            self._install(zygote)

    def close(self) -> None:
        """Have nobody wait for a zygote any more."""
        self._closed = True
        self._begun.set()
        self.ready.set()

    # --- one taking over from another ---

    def _install(self, zygote: Zygote) -> None:
        assert self._nursery is not None
        before, self.current = self.current, zygote
        self._nursery.start_soon(self._serve, zygote)
        self.ready.set()
        self._on_arrival(zygote)
        if before is not None:
            before.leave()

    async def _serve(self, zygote: Zygote) -> None:
        await zygote.serve(lambda: self._on_lost(zygote))
        if zygote is not self.current:
            return
        self.current = None
        self._trouble(f"the process that forks workers was lost ({zygote.lost}); a new one is started")
        await self._replace_lost(await self._start_again())

    async def _replace_lost(self, replacement: Zygote) -> None:
        """Install a zygote in place of one that was lost, unless a better one has come meanwhile."""
        if self.current is None:
            self._install(replacement)
            self._preload()
        else:  # one that was asked for, perhaps with another configuration: it must stay
            replacement.leave()
            await replacement.serve(lambda: None)

    def _on_lost(self, zygote: Zygote) -> None:
        """Have everybody who needs a worker wait for the next zygote, from this moment on."""
        if zygote is self.current and not self._closed:
            self.ready = trio.Event()

    async def _start_again(self) -> Zygote:
        while True:
            await trio.sleep(self._backoff.next_delay())
            try:
                return await self.start()
            except ConfigError as exc:
                self._trouble(f"workers cannot be started: {exc}")

    # --- loading ahead of need ---

    def _preload(self) -> None:
        if self._config.preload and self._nursery is not None:
            self._nursery.start_soon(self._try_to_preload)

    async def _try_to_preload(self) -> None:
        try:
            await self._renew()
        except ConfigError as exc:
            self._trouble(f"preload: nothing is loaded ahead of the tasks: {exc}")

    async def _start_preloaded(self, config: ProcessExecutorConfig) -> Zygote:
        modules = list(config.preload)
        while True:
            try:
                zygote = await start_zygote(config, self._on_worker_ended, preload=tuple(modules))
            except UnfitModule as unfit:
                modules.remove(unfit.module)
                self._left_out(unfit.module, unfit.why)
                continue
            for module, why in zygote.unfit.items():
                self._left_out(module, why)
            return zygote

    def _left_out(self, module: str, why: str) -> None:
        self._trouble(
            f"preload: {module!r} is not loaded ahead of the tasks: {why}. Tasks may import it all the same;"
            " take it off the list of modules to preload"
        )

    def _trouble(self, why: str) -> None:
        self._observer.observe(ExecutorTrouble(why))
