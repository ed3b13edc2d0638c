"""Errors that end a command with one line and exit code 2."""

from __future__ import annotations


class UsageError(ValueError):
    """What the user asked for is not allowed: one line that says what is."""


class ClusterError(UsageError):
    """The cluster cannot be reached, or cannot give what a trial asks for."""


class ClusterLost(Exception):
    """The cluster has gone while a sweep ran: one line that says which. What had finished is stored."""
