"""The standard streams of a command, any of which its caller may have closed."""

from __future__ import annotations

import os
import sys


def open_streams() -> None:
    """Give a command that was started without standard input, output or error an empty one.

    Files that it opens would get their numbers otherwise, and a library's message would be written into them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end


def leave_closed_pipe() -> None:
    """Let what is still to be printed go nowhere: whoever read it (`head`) has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
