"""``python -m trio_runner`` is the command line."""

from __future__ import annotations

from trio_runner.service.cli import main

if __name__ == "__main__":
    main()
