"""The process of a command: its standard streams, any of which its caller may have closed, and its end."""

from __future__ import annotations

import gc
import os
import sys

_BOUND_BY_NANOBIND = ("triton", "jaxlib")
"""Libraries that expect a last collection: without it they print pages of what they take for leaks."""


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


def spare_last_collection() -> None:
    """Keep Python from going through all objects of the libraries once more as it ends, which takes 0.6 s."""
    if not any(name in sys.modules for name in _BOUND_BY_NANOBIND):
        gc.freeze()
