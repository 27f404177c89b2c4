"""What tasks may read."""

from __future__ import annotations

import os
from pathlib import Path

from trio_runner.sandbox.walls.visible import readable_paths


def test_python_and_little_else() -> None:
    paths = readable_paths(network=False, programs=False)
    assert str(Path(os.__file__).parent) in paths
    assert {"/", "/etc", "/usr", "/home", "/root", "/tmp"}.isdisjoint(paths)
    assert {"/bin", "/usr/bin", "/etc/resolv.conf"}.isdisjoint(paths)
    more = readable_paths(network=True, programs=True)
    assert set(paths) < set(more)
    assert "/etc/hosts" in more


def test_of_this_package_only_what_runs_in_tasks() -> None:
    import trio_runner.executor
    import trio_runner.sandbox

    paths = readable_paths(network=True, programs=True)
    sandbox, executor = (
        str(Path(module.__file__ or "").parent) for module in (trio_runner.sandbox, trio_runner.executor)
    )
    covered = [path for path in paths if f"{executor}/".startswith(f"{path}/")]
    assert sandbox in paths
    assert all("site-packages" in path or "dist-packages" in path for path in covered)
