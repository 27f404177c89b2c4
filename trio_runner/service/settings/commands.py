"""The commands that have settings, each with its table: also what the tables of a configuration file mean."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .broker import BrokerSettings
from .run import RunSettings
from .submit import ConnectionSettings

__all__ = ["TABLES"]

TABLES: Mapping[str, type[attrs.AttrsInstance]] = {
    "run": RunSettings,
    "broker": BrokerSettings,
    "submit": ConnectionSettings,
}
"""By the name of the command, which is that of its table in a configuration file."""
