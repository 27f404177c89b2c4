"""Modules loaded ahead of need, each in a process of its own: what spoils a process stays in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import trio_runner

pytestmark = pytest.mark.process

_LOAD = """\
import sys
sys.path += sys.argv[1:3]
from trio_runner.sandbox.preload import Spoilt, load
for name in sys.argv[3:]:
    try:
        print(name, load(name), name in sys.modules)
    except Spoilt as spoilt:
        print(name, 'spoilt:', spoilt)
"""

MODULES = {
    "fine": "import json\nVALUE = 1",
    "fine_package/__init__": "",
    "fine_package/inner": "",
    "threads": "import threading, time\nfor _ in range(2):\n"
    "    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
    "failing": "raise RuntimeError('no licence')",
    "leaving": "raise SystemExit(3)",
    "needy": "import not_there_at_all",
    # It holds no pipe of the test's open, which would then have to wait for its end.
    "parent": "import subprocess\nchild = subprocess.Popen(['sleep', '5'], stdout=subprocess.DEVNULL)",
    "opener": "import os\nkept = os.open('/', os.O_RDONLY)",
}


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A directory with modules of many kinds."""
    for name, text in MODULES.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def load(modules: Path, *names: str) -> list[str]:
    root = str(Path(trio_runner.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _LOAD, root, str(modules), *names],
        check=True,
        stdout=subprocess.PIPE,
        timeout=50,
        text=True,
    )
    return done.stdout.splitlines()


def test_a_module_that_is_fit(modules: Path) -> None:
    assert load(modules, "fine", "fine_package.inner", "fine", "email.message") == [
        "fine None True",
        "fine_package.inner None True",
        "fine None True",
        "email.message None True",
    ]


def test_one_that_is_not_installed_does_no_harm(modules: Path) -> None:
    assert load(modules, "not_there", "not.there", "fine") == [
        "not_there it is not installed False",
        "not.there it is not installed False",
        "fine None True",
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("threads", "its import starts 2 threads, which a fork would not have"),
        ("failing", "its import raised RuntimeError: no licence"),
        ("leaving", "its import raised SystemExit: 3"),
        ("needy", "its import raised ModuleNotFoundError: No module named 'not_there_at_all'"),
        (
            "fine_package.missing",
            "its import raised ModuleNotFoundError: No module named 'fine_package.missing'",
        ),
        ("parent", "its import starts processes"),
        ("opener", "its import leaves a file or a connection open, which tasks would not have"),
    ],
)
def test_one_that_spoils_the_process(modules: Path, name: str, why: str) -> None:
    assert load(modules, name) == [f"{name} spoilt: {why}"]
