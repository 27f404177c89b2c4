"""Tools to test code that embeds trio_runner, without sockets, processes or real time.

- `memory_link_pair` makes two ends of one connection that encode and decode like the real thing.
- `ScriptedExecutor` runs no code: the test decides what every run prints and how it ends.
- `RecordingObserver` keeps every event and can wait for one.

All of them run on trio, and none of them waits for real time: they work under
`trio.testing.MockClock` and with `trio.testing.wait_all_tasks_blocked`.
"""

from .executor import ScriptedExecutor, ScriptedRun
from .links import MemoryLink, memory_link_pair
from .observer import RecordingObserver

__all__ = ["MemoryLink", "RecordingObserver", "ScriptedExecutor", "ScriptedRun", "memory_link_pair"]
