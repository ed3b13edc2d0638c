"""What can go wrong with a results store, each told in one line."""

from __future__ import annotations


class StoreError(Exception):
    """A results store cannot do what was asked. The message is one line and never holds a credential."""


class StoreUnreachable(StoreError):
    """The endpoint does not answer, or keeps failing after every retry."""


class StoreMissing(StoreError):
    """The bucket, the study or the trial does not exist."""


class AccessDenied(StoreError):
    """Credentials are missing, wrong, expired or not allowed to do this."""


class StoreUnwritable(StoreError):
    """The root cannot be written: permissions, or something else than a folder in its place."""


class StoreFull(StoreError):
    """No space is left; nothing of the write is visible."""


class CorruptedPart(StoreError):
    """A file of the store cannot be read as what it should be."""


class SchemaConflict(StoreError):
    """A study's columns contradict what is stored under the same revision."""


class QueryRefused(StoreError):
    """A query does more than read the store's tables, or DuckDB cannot run it."""


class StoreWarning(UserWarning):
    """The store works, but a guarantee is weaker than usual or something was skipped on request."""


class KeyAbsent(Exception):  # control flow between storage and readers, never shown
    """No object is stored under a key. Readers that listed it before look again: compaction moved it."""
