"""All scenarios, in the order in which they run."""

from __future__ import annotations

from .context import Scenario
from .scenarios.each_item import measure_each_item
from .scenarios.handlers import measure_handlers
from .scenarios.imports import measure_imports
from .scenarios.latency import measure_latency
from .scenarios.many_runners import measure_many_runners
from .scenarios.memory import measure_memory
from .scenarios.payloads import measure_payloads
from .scenarios.pings import measure_pings
from .scenarios.soak import measure_soak
from .scenarios.start import measure_start
from .scenarios.throughput import measure_burst, measure_sustained

__all__ = ["SCENARIOS"]

SCENARIOS = (
    Scenario("latency", "Trivial task on an idle runner", measure_latency, 40, 12),
    Scenario("sustained", "Sustained throughput of trivial tasks", measure_sustained, 90, 25),
    Scenario("burst", "Burst of tasks", measure_burst, 40, 12),
    Scenario("handlers", "Handler tasks in process", measure_handlers, 40, 12),
    Scenario("payloads", "Large payloads, both ways", measure_payloads, 180, 15),
    Scenario("pings", "Pings while a payload passes", measure_pings, 90, 12),
    Scenario("each-item", "Each-item mode", measure_each_item, 40, 12),
    Scenario("imports", "Tasks that import heavy modules", measure_imports, 90, 20),
    Scenario("memory", "Memory of the runner's processes", measure_memory, 110, 12),
    Scenario("start", "Start to first offer", measure_start, 60, 15),
    Scenario("many-runners", "Many runners on one broker", measure_many_runners, 90, 20),
    Scenario("soak", "Many tasks in a row", measure_soak, 200, 20),
)
