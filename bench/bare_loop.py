"""The ceiling of each-item mode: the same code over the same items in a plain loop, with the same JSON work.

    python -I bench/bare_loop.py FILE TIMES

FILE holds the settings of the task: code and items. Prints a JSON list of seconds, one for each time.
"""

import json
import sys
import textwrap
import time
from pathlib import Path


def main() -> None:
    """Decode, loop and encode so many times."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    seconds = []
    for _ in range(int(sys.argv[2])):
        begin = time.perf_counter()
        settings = json.loads(text)
        scope: dict[str, object] = {}
        exec(compile("def body(_item):\n" + textwrap.indent(settings["code"], "  "), "<task>", "exec"), scope)  # noqa: S102
        body = scope["body"]
        assert callable(body)
        result = [
            {"json": body(item), "pairedItem": {"item": index}}
            for index, item in enumerate(settings["items"])
        ]
        json.dumps(result, ensure_ascii=False)
        seconds.append(time.perf_counter() - begin)
    sys.stdout.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
