"""Facts about the machine that a figure depends on, and none that tell whose it is."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["machine_facts"]

_PACKAGES = ("trio", "trio-websocket", "wsproto", "msgspec", "cattrs")


def machine_facts() -> dict[str, str]:
    """Return processor, cores, memory, kernel, Python and the versions of what the figures depend on."""
    facts = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1024**3:.0f} GiB",
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('-')[0].split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": f"{os.getloadavg()[0]:.1f}",
    }
    return facts | {name: _version(name) for name in ("trio-runner", *_PACKAGES)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
