"""Writing for people: a console that is plain where there is no terminal, and text that cannot steer one."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

__all__ = ["PersonConsole", "open_console", "plain"]

# What a terminal would obey instead of show: all C0 and C1 control characters but tab and line feed.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class PersonConsole(Console):
    """A rich console that falls silent, rather than ending the program, when nothing can be written."""

    def on_broken_pipe(self) -> None:
        """Stop writing when the reader has gone: what the program does for others goes on."""
        self.quiet = True

    def line(self, text: str | Text = "", style: str = "") -> None:  # type: ignore[override]
        """Write one line, never wrapped and never interpreted.

        Args:
            text: what to write; control characters in a str are shown, not obeyed.
            style: rich style for all of it.
        """
        shown = Text(plain(text)) if isinstance(text, str) else text
        try:
            self.print(shown, style=style or None, soft_wrap=True)
        except OSError:  # a full disk, say
            self.quiet = True


def open_console(stream: TextIO | None = None) -> PersonConsole:
    """Return a console for a stream, standard error by default.

    Colours are used on terminals only, and not if NO_COLOR is set to anything but an empty text. A stream
    that the program was started without takes everything and shows nothing.
    """
    file = stream or sys.stderr
    no_color = bool(os.environ.get("NO_COLOR"))
    return PersonConsole(
        file=file,
        quiet=file is None,
        highlight=False,
        markup=False,
        emoji=False,
        no_color=no_color,
        force_jupyter=False,
    )


def plain(text: str) -> str:
    """Return `text` with control characters written out: what a task prints must not steer the terminal."""
    return text.translate(_CONTROLS)
