"""Layout: the names of everything in a store."""

from __future__ import annotations

import re

TRIALS = ".trials.parquet"
MEASUREMENTS = ".measurements.parquet"
CHECKPOINT = ".safetensors"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_PART = re.compile(r"part-(\d{6})-[0-9a-f]+\.parquet")
_PACK_FILE = re.compile(r"(?:kept-\d{6}-)?[0-9a-f]+(?:\.trials|\.measurements)\.parquet")
_SCHEMA = re.compile(r"\d{6}-[0-9a-f]+\.json")
_REQUEST = re.compile(r"[0-9a-f]{20}\.json")
_ENTRY = re.compile(r"(\d{6})(\.json|\.done)")


def checked_token(token: str, what: str) -> str:
    """Return `token` if it can be a file or folder name on every storage.

    Raises:
        ValueError: It cannot.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{what} {token!r} must be letters, digits, dots, dashes and underscores, at most 128")
    return token


def is_hidden(name: str) -> bool:
    """Return whether a name is not the store's, whatever it is: `._x` of a Mac, `.#x` of an editor."""
    return name.startswith(".")


def is_token(name: str) -> bool:
    """Return whether `name` can be the name of a sweep or the fingerprint of a stage."""
    return _TOKEN.fullmatch(name) is not None


def is_pack_file(name: str) -> bool:
    """Return whether a file of the inbox is one of the two of a pack."""
    return _PACK_FILE.fullmatch(name) is not None


def is_schema(name: str) -> bool:
    """Return whether a file of this name is a declaration."""
    return _SCHEMA.fullmatch(name) is not None


def is_request(name: str) -> bool:
    """Return whether a file of this name is a request to compute trials anew."""
    return _REQUEST.fullmatch(name) is not None


def entry_number(name: str, ending: str) -> int | None:
    """Return the number of a file of the journal with this ending, or None for a foreign one."""
    match = _ENTRY.fullmatch(name)
    return int(match.group(1)) if match and match.group(2) == ending else None


def inbox(study: str) -> str:
    """Return the folder of packs that are not compacted."""
    return f"{study}/inbox"


def pack_trials(study: str, pack: str) -> str:
    """Return the key of a pack's trials, whose appearance finishes the pack."""
    return f"{study}/inbox/{pack}{TRIALS}"


def pack_measurements(study: str, pack: str) -> str:
    """Return the key of a pack's measured rows."""
    return f"{study}/inbox/{pack}{MEASUREMENTS}"


def part_name(number: int, token: str) -> str:
    """Return the name that the same part has in both tables."""
    return f"part-{number:06d}-{token}.parquet"


def part_number(name: str) -> int | None:
    """Return which compaction made the part `name`, or None for a foreign file."""
    match = _PART.fullmatch(name)
    return int(match.group(1)) if match else None


def part_trials(study: str, part: str) -> str:
    """Return the key of a part's trials."""
    return f"{study}/trials/{part}"


def part_measurements(study: str, part: str) -> str:
    """Return the key of a part's measured rows."""
    return f"{study}/measurements/{part}"


def superseded(study: str) -> str:
    """Return the folder of runs that a later one of the same trial has superseded."""
    return f"{study}/superseded"


def reruns(study: str) -> str:
    """Return the folder of requests to compute trials anew."""
    return f"{study}/reruns"


def code(study: str, code_hash: str) -> str:
    """Return the key of what modules a hash of code stands for."""
    return f"{study}/code/{checked_token(code_hash, 'hash of code')}.json"


def schemas(study: str) -> str:
    """Return the folder of declarations."""
    return f"{study}/schemas"


def journal(study: str) -> str:
    """Return the folder of compaction's plans."""
    return f"{study}/journal"


def sweeps(study: str) -> str:
    """Return the folder of recorded sweeps."""
    return f"{study}/sweeps"


def stage(study: str, fingerprint: str) -> str:
    """Return the folder of one stage."""
    return f"{study}/stages/{checked_token(fingerprint, 'stage fingerprint')}"


def checkpoints(study: str) -> str:
    """Return the folder of the checkpoints of trials under way."""
    return f"{study}/checkpoints"


def checkpoint(study: str, trial_id: str) -> str:
    """Return the key of a trial's checkpoint."""
    return f"{checkpoints(study)}/{checked_token(trial_id, 'trial id')}{CHECKPOINT}"
