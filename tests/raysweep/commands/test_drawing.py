"""Figures of a run: their names, what is refused before it, and what one that fails costs."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.core.figures import Drawing
from analysis.store.results import Results
from raysweep import k_phase_diagram
from raysweep.service.commands.drawing import FORMATS
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study

STUDY = dataclasses.replace(k_phase_diagram.STUDY, figures=__name__)
SERIAL = ("executor=serial", "space=smoke", "seed=0", "steps=20")
KS = "axes.feature_update_interval=[1,5]"


class FullDisk(Figure):
    """A figure whose file never fits."""

    def savefig(self, *args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")


def draw(results: Results) -> Sequence[Drawing]:
    """Draw a figure of the trials, and one of no use."""
    trials = results.trials(STUDY.name)
    figure = Figure(figsize=(2, 2), layout="constrained")
    figure.subplots().plot(trials["feature_update_interval"], trials["final_test_acc_lin"], "o")
    return [Drawing(figure, trials), Drawing(Figure(figsize=(1, 1)), trials, "other")]


def draw_on_a_full_disk(results: Results) -> Sequence[Drawing]:
    """Draw a figure that can be saved and two that cannot."""
    return [
        Drawing(Figure(figsize=(1, 1)), pd.DataFrame()),
        *(Drawing(FullDisk(), pd.DataFrame(), name) for name in ("second", "third")),
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("store")
    assert main(STUDY, [*SERIAL, KS, f"results={root}"]) == 0
    yield root


def figures(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / STUDY.name / "figures").iterdir())}


def drawn_again(store: Path, *overrides: str) -> int:
    return main(STUDY, [*SERIAL, KS, f"results={store}", *overrides])


def test_sweeps_of_one_space_leave_each_others_figures_and_replace_their_own(store: Path) -> None:
    first = figures(store)
    main_figures = [name for name in first if name.endswith(".png") and "_" not in name]
    assert len(main_figures) == 1
    assert main_figures[0].startswith("smoke-")
    assert drawn_again(store) == 0
    assert set(figures(store)) == set(first)
    assert drawn_again(store, "learning_rate=0.03") == 0
    both = figures(store)
    assert len(both) == 2 * len(first)
    assert {name: both[name] for name in first if name.endswith("png")} == {
        name: content for name, content in first.items() if name.endswith("png")
    }


def test_a_search_that_goes_on_is_the_same_sweep(tmp_path: Path) -> None:
    search = ["executor=serial", "space=search", "steps=10", "seed=0", "axes.feature_update_interval=5"]
    search += ["search.trials=3", "search.sampler=random", f"results={tmp_path}"]
    assert main(STUDY, [*search, "budget.trials=2"]) == 3
    names = set(figures(tmp_path))
    assert main(STUDY, search) == 0
    assert set(figures(tmp_path)) == names


def test_a_named_figure_is_the_main_one_alone_or_has_all_beside_it(store: Path, tmp_path: Path) -> None:
    alone = tmp_path / "made" / "k.pdf"
    assert drawn_again(store, f"figure={alone}") == 0
    assert [path.name for path in alone.parent.iterdir()] == ["k.pdf"]
    assert alone.read_bytes().startswith(b"%PDF")
    assert drawn_again(store, f"figure={tmp_path / 'lr0.1'}", "figures=all") == 0
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert "lr0.1.png" in names
    assert len(names) > 1
    assert all(name.startswith("lr0.1") and name.endswith(".png") for name in names)


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("plot.docx", "allowed are png"),
        ("folder", "is a folder"),
        ("folder/", "names no file"),
        ("/dev/null/x.png", "/dev/null is no folder"),
        ("file.txt/x.png", "file.txt is no folder"),
        ("s3://bucket/x.png", "a file on this machine"),
        (f"{'x' * 300}.png", "too long"),
        ("x.png", "figures=some is not one of all, main"),
    ],
)
def test_what_is_wrong_with_a_figure_is_said_before_the_sweep(
    figure: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file.txt").touch()
    wrong = [f"figure={figure}", *(["figures=some"] if "figures=" in said else [])]
    assert main(STUDY, [*SERIAL, KS, "results=out", *wrong]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert len(told.err.splitlines()) == 1
    assert "to run" not in told.out
    assert not list(Path("out").rglob("*.parquet"))


def test_every_format_that_is_allowed_can_be_written() -> None:
    assert set(FORMATS) <= set(Figure().canvas.get_supported_filetypes())


def test_figures_that_fail_cost_a_line_and_leave_what_was_there(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "draw", draw_on_a_full_disk, raising=True)
    target = tmp_path / "k.png"
    former = tmp_path / "k_second.png"
    former.write_bytes(b"former")
    assert drawn_again(store, f"figure={target}", "figures=all") == 0
    told = capsys.readouterr().out.splitlines()
    assert f"figure: {target}" in told
    assert [line for line in told if "not drawn" in line] == [
        "2 of 3 figures not drawn (second, third): [Errno 28] No space left on device"
    ]
    assert sum(line.startswith(("pandas:", "polars:", "duckdb:")) for line in told) == 3
    assert former.read_bytes() == b"former"
    assert {path.name for path in tmp_path.iterdir()} == {"k.png", "k_second.png"}


def test_a_study_that_cannot_draw_still_prints_how_to_read_its_tables(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = dataclasses.replace(STUDY, figures="figures_that_nobody_wrote")
    assert main(study, [*SERIAL, KS, f"results={store}"]) == 0
    told = capsys.readouterr().out
    assert "no figure was drawn: ModuleNotFoundError: No module named 'figures_that_nobody_wrote'" in told
    assert "pandas: " in told


def test_what_matplotlib_is_told_elsewhere_does_not_matter(store: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\n")
    told = {"MPLBACKEND": "module://a_backend.of_a_notebook", "MPLCONFIGDIR": str(tmp_path)}
    figure = tmp_path / "k.png"
    command = [sys.executable, "-m", f"raysweep.{STUDY.name}", *SERIAL, KS, f"results={store}", f"figure={figure}"]
    subprocess.run(command, env={**os.environ, **told}, check=True, timeout=100, capture_output=True)
    plain = tmp_path / "plain.png"
    assert main(k_phase_diagram.STUDY, [*SERIAL, KS, f"results={store}", f"figure={plain}"]) == 0
    assert figure.read_bytes() == plain.read_bytes()


def test_a_program_that_draws_keeps_its_backend_and_style(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "svg")
    matplotlib.use("svg")
    before = dict(matplotlib.rcParams)
    assert drawn_again(store) == 0
    assert dict(matplotlib.rcParams) == before
    assert os.environ["MPLBACKEND"] == "svg"


def test_figures_are_drawn_again_only_where_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    drawn = []
    drawing = Study.draw
    monkeypatch.setattr(Study, "draw", lambda study, results: drawn.append(1) or drawing(study, results))
    space = ["space=smoke", "executor=serial", f"results={tmp_path / 'results'}", "figures=main"]

    def figures(*others: str) -> list[str]:
        drawn.clear()
        assert main(k_phase_diagram.STUDY, [*space, *others]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("figure: ")]

    first = figures()
    assert len(drawn) == 1
    assert figures() == first
    assert not drawn
    Path(first[0].removeprefix("figure: ")).write_bytes(b"touched")
    assert figures() == first
    assert len(drawn) == 1, "a file that is not what was drawn is drawn again"
    assert figures(f"figure={tmp_path / 'other.png'}") == [f"figure: {tmp_path / 'other.png'}"]
    assert len(drawn) == 1, "another target is drawn"
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 3\n")
    assert figures() == first
    assert len(drawn) == 1, "another style is drawn"
