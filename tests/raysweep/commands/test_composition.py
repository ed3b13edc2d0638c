"""What is typed and what spaces say: understood as it was meant, or refused in one line that says what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands import explanation
from raysweep.service.commands.configuration import Settings, read_settings
from raysweep.service.commands.settings import spaces
from raysweep.service.errors import UsageError


def refusal(*overrides: str) -> str:
    with pytest.raises(UsageError) as refused:
        read_settings(STUDY, overrides)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def values(settings: Settings, column: str) -> list[object]:
    return sorted({knobs.columns()[column] for knobs in settings.planner.grid})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the study's smoke space, in the place of its own."""
    there = tmp_path / STUDY.name
    there.mkdir()
    (there / "smoke.yaml").write_text(spaces.spaces(STUDY)["smoke"].read_text(encoding="utf-8"), encoding="utf-8")

    monkeypatch.setattr(spaces, "folder_of_spaces", lambda module, study: there)
    return there


@pytest.mark.parametrize(
    "path", ["0042", "1_000", "1e-3", "inf", "nan", "false", "Null", "a,b", "[x]", "{a:b}", "k=v", "a b", "it's", "2:3"]
)
def test_a_path_is_spelt_as_typed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(STUDY, ["space=none", f"results={path}", f"figure={path}", f"data.path={path}"])
    assert (settings.results, settings.figure, settings.data_path) == (path, path, path)
    monkeypatch.setenv("RAYSWEEP_RESULTS", path)
    assert read_settings(STUDY, ["space=none"]).results == path


def test_a_path_begins_at_home_where_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    settings = read_settings(STUDY, ["space=none", "results='~/a b/'", "figure=~/f.pdf", "data.path=~"])
    assert (settings.results, settings.figure, settings.data_path) == ("/home/me/a b", "/home/me/f.pdf", "/home/me")
    assert read_settings(STUDY, ["space=none", "results=./~/x"]).results == "./~/x"
    assert "there is no home folder for ~nobody-of-that-name" in refusal("results=~nobody-of-that-name/x")
    assert refusal("figure=") == "figure= is empty; write a path"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("budget=none", "budget is a group of settings, got 'none'; write budget.trials=..."),
        ("resources=[1,2]", "resources is a group of settings, got [1, 2]; write resources.cpus=..."),
        ("axes=3", "axes is a group of settings, got 3; write axes.seed=..."),
        ("data=false", "data=false is unknown; allowed are digits"),
        ("space=1e3", "space=1e3 is unknown; allowed are"),
        ("union=3", "union must be a list of grids"),
        ("linked={width: [1]}", "linked must be a list of mappings"),
        ("linked=[3]", "linked must be a list of mappings"),
        ("computed=[1]", "computed must be knobs with their arithmetic"),
        ("search=no", "search must be a mapping with trials, objective and over, got 'no'"),
        ("boundary=0", "boundary must be a mapping with response, level and over, got 0"),
        ("width={low: 3}", "width is one value, got {'low': 3}"),
        ("executor=[ray]", "executor is one value, got ['ray']"),
        ("plan=perhaps", "plan must be true or false, got 'perhaps'"),
        ("~width", "'~width' would take a setting away"),
        ("~space=smoke", "'~space=smoke' would take a setting away"),
        ("+=3", "is no override; write name=value"),
        ("wi dth=3", "cannot read 'wi dth=3'"),
        ("data@x=digits", "cannot read 'data@x=digits'"),
        ("width.low=3", "width is one value, got {'low': 3}"),
        ("hydra.verbose=true", "unknown setting 'hydra.verbose'"),
        ("+wdith=3", "unknown setting 'wdith'; did you mean 'width'?"),
        ("++data.trian_size=3", "unknown setting 'data.trian_size'; did you mean 'data.train_size'?"),
        ("data_train_size=3", "unknown setting 'data_train_size'; did you mean 'data.train_size'?"),
        ("data=dgits", "data=dgits is unknown; did you mean 'digits'?"),
        ("space_name=x", "unknown setting 'space_name'"),
        ("budget.hours=${no.such}", "no.such"),
        ("search={smapler: tpe}", "search.smapler is unknown; did you mean 'sampler'?"),
    ],
)
def test_an_override_that_is_not_understood_is_refused(override: str, said: str) -> None:
    assert said in refusal(override)


@pytest.mark.parametrize(
    ("overrides", "column", "counts"),
    [
        (["width=range(8,10)", "width=16"], "width", [16]),
        (["width=16", "axes.width=[8,9]"], "width", [8, 9]),
        (["axes.data.train_size=[100,200]", "data.train_size=300"], "data_train_size", [300]),
        (["steps=7", "+steps=9"], "steps", [9]),
        (["data.name=mnist", "data=digits"], "data_name", ["digits"]),
        (["data=mnist,cifar10", "space=cifar10_subset"], "data_name", ["cifar10", "mnist"]),
        (["space=cifar10_subset", "space=none", "width=4"], "width", [4]),
    ],
)
def test_of_two_values_for_one_knob_the_later_counts(overrides: list[str], column: str, counts: list[object]) -> None:
    assert values(read_settings(STUDY, ["space=none", *overrides]), column) == counts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("width=8", "linked=[{width: [1, 2], depth: [1, 2]}]"),
        ("axes.width=[8,9]", "computed.width=2 * depth"),
        ("width=8", "union=[{axes: {width: [1, 2]}}]"),
        ("width=8,9", "axes={width: [1, 2]}"),
        ("width=8", "search.over.width={low: 1, high: 9}"),
        ("width=8", "boundary={over: {width: [1, 2]}}"),
    ],
)
def test_two_overrides_that_give_one_knob_in_two_ways_are_refused(one: str, other: str) -> None:
    assert refusal(one, other) == f"{one} and {other} both say what width is; give one"
    assert refusal(other, one).endswith("both say what width is; give one")


def test_what_is_given_goes_before_what_a_space_searches() -> None:
    searched = ["space=search", "search.over.width={low: 8, high: 16}"]
    over = read_settings(STUDY, [*searched, "learning_rate=0.5"]).planner.settings.over
    assert list(over) == ["width"]
    assert "search.over is empty" in refusal("space=search", "learning_rate=0.5")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lerning_rate: 1", "space=mine: unknown setting 'lerning_rate'; did you mean 'learning_rate'?"),
        ("data: {trian_size: 10}", "space=mine: unknown setting 'data.trian_size'; did you mean 'data.train_size'?"),
        ("budget: {trails: 3}", "space=mine: unknown setting 'budget.trails'; did you mean 'budget.trials'?"),
        ("unoin: []", "space=mine: unknown setting 'unoin'; did you mean 'union'?"),
        ("3: 4", "space=mine: unknown setting '3'; allowed are"),
        ("axes: {wdith: [1]}", "wdith is no knob of this study; did you mean 'width'?"),
        ("union: [{axis: {width: [1]}}]", "union.axis is unknown; did you mean 'axes'?"),
        ("axes:", "space=mine: axes is a group of settings, got None"),
        ("width: [1, 2]", "space=mine: width is one value, got [1, 2]; several values of a knob are an axis"),
        ("results: 2024_01_15", "results must be text, got 20240115; YAML wants quotes around it"),
        ("- width", "must be a mapping of settings"),
        ("width: 1\nwidth: 2", "mine.yaml is no YAML of settings: found duplicate key width in line 2"),
        ("width: [1", "mine.yaml is no YAML of settings"),
        ("width: ${nowhere}", "nowhere"),
        ("width: 8\naxes: {width: [1, 2]}", "space=mine: width has one value and is varied as well; keep one"),
        ("data: {train_size: 8}\naxes: {data_train_size: [1, 2]}", "data.train_size has one value and is varied"),
        ("width: 8\ncomputed: {width: 2 * depth}", "width has one value and is varied as well"),
        ("defaults: [smoke, _self_]\nfeature_update_interval: 3", "`axes: {feature_update_interval: null}` takes"),
        ("defaults: smoke", "space=mine: defaults must be a list of spaces, got 'smoke': [smoke, _self_]"),
    ],
)
def test_a_space_that_is_not_understood_is_refused(folder: Path, text: str, said: str) -> None:
    (folder / "mine.yaml").write_text(f"{text}\n", encoding="utf-8")
    assert said in refusal("space=mine")


def test_what_lies_beside_a_space_silences_nothing_but_itself(folder: Path) -> None:
    (folder / "._smoke.yaml").write_bytes(b"\0\5\26\7\260")
    (folder / ".#smoke.yaml").symlink_to("nowhere")
    (folder / "latin.yaml").write_bytes("# Größe\nwidth: 3\n".encode("latin-1"))
    (folder / "gone.yaml").symlink_to("nowhere")
    (folder / "folder.yaml").mkdir()
    (folder / "empty.yaml").write_text("", encoding="utf-8")
    assert len(list(read_settings(STUDY, ["space=smoke"]).planner.grid)) == 6
    assert len(list(read_settings(STUDY, ["space=empty"]).planner.grid)) == 1
    assert "latin.yaml cannot be read: it is not text in UTF-8" in refusal("space=latin")
    assert "gone.yaml cannot be read: No such file or directory" in refusal("space=gone")
    assert "folder.yaml cannot be read: Is a directory" in refusal("space=folder")
    told = explanation.of(STUDY)
    assert "  smoke " in told and "cannot be read" in told and "._smoke" not in told
    assert set(spaces.spaces(STUDY)) == {"empty", "folder", "gone", "latin", "smoke"}
