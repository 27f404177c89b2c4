"""The ceiling of payloads: one json.loads and one json.dumps, in a process of its own.

    python -m bench.bare_json MEBIBYTES TIMES

Prints a JSON list of seconds, one for each time.
"""

import gc
import json
import sys
import time

from .payload import items_json


def main() -> None:
    """Decode and encode so many times."""
    text = items_json(float(sys.argv[1])).decode()
    seconds = []
    for _ in range(int(sys.argv[2])):
        gc.collect()
        begin = time.perf_counter()
        value = json.loads(text)
        again = json.dumps(value, ensure_ascii=False)
        seconds.append(time.perf_counter() - begin)
        del value, again
    sys.stdout.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
