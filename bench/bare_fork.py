"""The ceiling of processes: fork, end at once, wait. Run in a fresh interpreter, started as a zygote is,
with nothing loaded but what every interpreter has.

    python -I -B -X utf8 bench/bare_fork.py SECONDS [MODULE]

MODULE is imported first, so that the interpreter is as large as it makes it. Prints forks per second.
"""

import gc
import importlib
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Fork and wait for so many seconds."""
    limit = float(sys.argv[1])
    if len(sys.argv) > 2:
        sys.path.append(str(Path(__file__).resolve().parent.parent))
        importlib.import_module(sys.argv[2])
    gc.disable()
    gc.freeze()
    count, begin = 0, time.perf_counter()
    end = begin + limit
    while time.perf_counter() < end:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        count += 1
    sys.stdout.write(f"{count / (time.perf_counter() - begin)}\n")


if __name__ == "__main__":
    main()
