"""The examples of the pages on spaces, data and networks, run as their readers would."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.study_command import main
from trials.core.data.arrays import OwnArrays, load_arrays
from trials.core.data.own import _ALLOWED
from trials.core.data.records import OWN

DOCS = Path(__file__).resolve().parents[3] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of code of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


SPACES = blocks("spaces.md", "yaml")
COUNTS = [24, 6, 3, 10, 80, None, 3, 6, None]


@pytest.mark.parametrize(("text", "trials"), list(zip(SPACES, COUNTS, strict=True)))
def test_a_space_of_the_page_has_the_trials_that_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, trials: int | None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("example.yaml").write_text(text, encoding="utf-8")
    planner = read_settings(STUDY, ["space=example.yaml"]).planner
    assert len(planner) > 0
    if trials is not None:
        assert len(planner) == trials
        said = re.search(r"(\d+) trials", text)
        assert said is None or int(said[1]) == trials


def test_the_page_on_data_and_networks_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    page = "data_and_networks.md"
    data, network = blocks(page, "python")
    exec(data, {})
    Path("my_networks.py").write_text(network, encoding="utf-8")
    for command in blocks(page, "sh"):
        _, _, module, *arguments = shlex.split(command)
        assert module == f"raysweep.{STUDY.name}"
        assert main(STUDY, arguments) == 0
    assert capsys.readouterr().out.count("k_phase_diagram, space smoke: 6 trials") == 2
    (record,) = blocks(page, "yaml")
    Path("mine.yaml").write_text(record, encoding="utf-8")
    arrays = load_arrays(OWN, "mine.yaml")
    assert isinstance(arrays, OwnArrays)
    assert (arrays.record.training, len(arrays.test_labels)) == (225, 75)
    assert {line.partition(":")[0] for line in record.splitlines()} == set(_ALLOWED)
