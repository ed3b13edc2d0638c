"""Drawing: where the figures of a run go, which is checked before the sweep, and their files after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.core.versions import mixture, told_on
from analysis.store.results import Results
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.rendering import Rendered, renderer, told, written
from raysweep.service.errors import UsageError
from raysweep.service.study import Study

if TYPE_CHECKING:
    from analysis.core.figures import Drawing

FORMATS = ("png", "pdf", "svg", "eps", "jpg", "jpeg", "tif", "tiff", "webp")
CHOICES = ("all", "main")
_SHOWN_OF_ID = 8


@dataclass(frozen=True, kw_only=True)
class FigureTarget:
    """Where the figures of a run go.

    Attributes:
        folder: Their folder.
        stem: Name of the main figure's file without its format; others add theirs.
        formats: Formats of each figure.
        main_only: Whether only the main figure is drawn.
    """

    folder: Path
    stem: str
    formats: tuple[str, ...]
    main_only: bool

    def files(self, name: str) -> list[Path]:
        """Return the files of one figure; the main figure's name is empty."""
        whole = f"{self.stem}_{name}" if name else self.stem
        return [self.folder / f"{whole}.{form}" for form in self.formats]


def figure_target(study: Study, settings: Settings, sweep_id: str = "") -> FigureTarget:
    """Return where figures go: to `figure=FILE`, or beside the tables under the names of space and sweep.

    Nothing is written. A store that cannot be written, or is no folder, leaves the working directory.

    Args:
        study: The study.
        settings: The settings of the run.
        sweep_id: Id of the sweep, empty while it is not known: only `figure=FILE` can be wrong.

    Raises:
        UsageError: What `figure` or `figures` say cannot be done.
    """
    if settings.figures is not None and settings.figures not in CHOICES:
        raise UsageError(f"figures={settings.figures} is not one of {', '.join(CHOICES)}")
    if settings.figure is None:
        name = f"{settings.space}-{sweep_id[:_SHOWN_OF_ID]}"
        main_only = settings.figures == "main"
        return FigureTarget(folder=_beside(study, settings), stem=name, formats=("png", "svg"), main_only=main_only)
    stem, form = _named(settings.figure)
    folder = Path(settings.figure).parent
    target = FigureTarget(folder=folder, stem=stem, formats=(form,), main_only=settings.figures != "all")
    with _refused(settings.figure):
        (file,) = target.files("")
        if file.is_dir() or Path(settings.figure).is_dir():
            raise UsageError(f"figure={settings.figure} is a folder; name a file in it, as in figure=diagram.png")
        if file.exists() and not os.access(file, os.W_OK):
            raise UsageError(f"figure={settings.figure} cannot be written: the file that is there is read-only")
        if reason := _unwritable(folder):
            raise UsageError(f"figure={settings.figure} cannot be written: {reason}")
    return target


def drawings(study: Study, settings: Settings, results: Results) -> Sequence[Drawing]:
    """Return the figures of a run's trials: those of the study, or of a search what it has found.

    A diagram of each value that a search has sampled would show nothing. Trials that were stopped early are left out:
    they would be a bias. Where the trials mix versions of code or data, all figures say so.

    Args:
        study: The study.
        settings: The run.
        results: The store, cut to the trials of the run.
    """
    if settings.search:
        from analysis.core.search_figures import search_drawings
        from raysweep.service.commands.printed.search_summary import search_found

        found = search_found(study, settings.search, results)
        return told_on(search_drawings(found), mixture(results, study.name))
    outcomes = results.outcomes(study.name)
    whole = [trial_id for trial_id, outcome in outcomes.items() if outcome in ("finished", "diverged")]
    shown = results.only(whole)
    return told_on(study.draw(shown), mixture(shown, study.name)) if whole else []


def drawn(study: Study, settings: Settings, results: Results, target: FigureTarget) -> Iterator[str]:
    """Draw the figures of a run and yield a line for each file, and one for each reason why others are missing."""
    failed: dict[str, list[str]] = {}
    with renderer(side_by_side=settings.executor != "serial" and not target.main_only) as render:
        try:
            found = drawings(study, settings, results)
        except Exception as error:  # noqa: BLE001 - whatever a figure stumbles over, the results are there
            yield f"no figure was drawn: {told(error)}"
            return
        if not found:
            yield "no figure: no trial has come as far as what they show"
        # A main figure that the trials do not carry leaves its place to the first that they do.
        chosen = {drawing.name if number else "": drawing for number, drawing in enumerate(found)}
        if target.main_only:
            chosen = dict(list(chosen.items())[:1])
        outcomes = render([drawing.figure for drawing in chosen.values()], target.formats)
        for name, outcome in zip(chosen, outcomes, strict=True):
            try:
                for file, content in zip(target.files(name), outcome.contents, strict=False):
                    written(file, content)
                    yield f"figure: {file}"
            except OSError as error:
                outcome = Rendered((), told(error))
            if outcome.reason:
                failed.setdefault(outcome.reason, []).append(name or "the main one")
    for reason, names in failed.items():
        yield f"{len(names)} of {len(found)} figures not drawn ({', '.join(names)}): {reason}"


def _named(figure: str) -> tuple[str, str]:
    """Return the stem and the format of a file; a dot in a name is no format unless letters follow it.

    Raises:
        UsageError: It names no file, or no format that there is.
    """
    if "://" in figure:
        raise UsageError(f"figure={figure} must be a file on this machine")
    name = Path(figure).name
    if not name or name == ".." or figure.endswith(("/", os.sep)):
        raise UsageError(f"figure={figure} names no file, as figure=diagram.png does")
    stem, dot, form = name.rpartition(".")
    if dot and stem and form.lower() in FORMATS:
        return stem, form
    if dot and stem and form.isalpha() and len(form) <= 4:
        raise UsageError(f"figure={figure}: .{form} is no format; allowed are {', '.join(FORMATS)}")
    return name, "png"


def _beside(study: Study, settings: Settings) -> Path:
    """Return a folder beside the tables, or in the working directory where these are in a bucket or read-only."""
    if "://" not in settings.results:
        folder = Path(settings.results) / study.name / "figures"
        if not _unwritable(folder):
            return folder
    return Path("figures") / study.name


def _unwritable(folder: Path) -> str:
    """Return why files cannot be written to a folder that may have to be made; empty if they can."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        return f"{there} is no folder"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{there} is read-only"


@contextlib.contextmanager
def _refused(figure: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # a name too long, or with a null character
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"figure={figure!r} is no name of a file: {reason}") from None
