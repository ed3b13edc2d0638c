"""Redrawing: figures of an earlier run stand where nothing that they are made of has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pyarrow as pa

from analysis.store.results import Results
from raysweep.service import provenance
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.drawing import FigureTarget, drawn
from raysweep.service.dependencies import modules_of
from raysweep.service.study import Study
from trials.core.data.decoded import cache_folder

_FIGURE = "figure: "
_LIBRARIES = ("matplotlib", "numpy", "pandas")


def drawn_if_changed(study: Study, settings: Settings, results: Results, target: FigureTarget) -> Iterator[str]:
    """Yield the lines of `drawn`, without drawing where files and all they are made of are as an earlier run left them.

    They are made of the trials, which measure what they measured, of the code and of the libraries. What a search has
    found is drawn anew. Which files were drawn from what is noted in the user's cache folder.
    """
    note = None if settings.search else _note(study, results, target)
    if note is not None and (files := _standing(note)):
        yield from (f"{_FIGURE}{file}" for file in files)
        return
    lines = []
    for line in drawn(study, settings, results, target):
        lines.append(line)
        yield line
    if note is not None and lines and all(line.startswith(_FIGURE) for line in lines):
        _keep(note, [line.removeprefix(_FIGURE) for line in lines])


def _note(study: Study, results: Results, target: FigureTarget) -> Path | None:
    """Return the file that says which files were drawn from just this; None without a cache folder."""
    place = [(str(file), str(file.absolute())) for file in target.files("")]
    code = [provenance.source_hash(), *sorted(modules_of(study.figures).items())]
    looks = [*(metadata.version(name) for name in _LIBRARIES), *_styles()]
    made_of = repr((study.name, place, target.main_only, _digest(results.arrow().trials(study.name)), code, looks))
    folder = cache_folder()
    return folder and folder / f"drawn-{hashlib.sha256(made_of.encode()).hexdigest()[:20]}.json"


def _styles() -> Iterator[bytes]:
    """Yield the user's settings of matplotlib, from where it looks for them."""
    folders = [os.environ.get("MATPLOTLIBRC"), os.environ.get("MPLCONFIGDIR"), ".", "~/.config/matplotlib"]
    for folder in map(Path, filter(None, folders)):
        for file in (folder, folder / "matplotlibrc"):
            with contextlib.suppress(OSError, RuntimeError):
                yield file.expanduser().read_bytes()


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _standing(note: Path) -> list[str]:
    """Return the files that were drawn if all of them are what they were, none otherwise."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        files: Mapping[str, str] = json.loads(note.read_text(encoding="utf-8"))
        if all(_content(Path(file)) == digest for file, digest in files.items()):
            return list(files)
    return []


def _keep(note: Path, files: list[str]) -> None:
    with contextlib.suppress(OSError):  # a folder that cannot be written only costs the time to draw
        note.parent.mkdir(parents=True, exist_ok=True)
        draft = note.with_suffix(".unfinished")
        draft.write_text(json.dumps({file: _content(Path(file)) for file in files}), encoding="utf-8")
        draft.replace(note)


def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
