"""A user's own modules of the names of raysweep's packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_in(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a folder of a user's, whose modules Python finds first, as `python -m` does."""
    found = f"import sys; sys.path[:0] = ['', {str(ROOT)!r}]; {code}"
    return subprocess.run([sys.executable, "-c", found], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("package", [True, False], ids=["folders", "files"])
def test_they_do_not_stand_in_the_way(tmp_path: Path, package: bool) -> None:
    for name in ("analysis", "cluster", "search_spaces", "trials"):
        file = tmp_path / name / "__init__.py" if package else tmp_path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text("raise RuntimeError('not asked for')", encoding="utf-8")
    done = run_in(
        tmp_path,
        "import raysweep, trials.core.knobs, search_spaces.core.axes, analysis.store.results, cluster.nodes;"
        "print(raysweep.open)",
    )
    assert done.returncode == 0, done.stderr


def test_one_that_was_imported_before_is_named(tmp_path: Path) -> None:
    (tmp_path / "analysis.py").write_text("", encoding="utf-8")
    done = run_in(tmp_path, "import analysis, raysweep")
    *_, line = done.stderr.splitlines()
    assert line.startswith("ImportError: raysweep has a package 'analysis', and this program has imported")
    assert str(tmp_path / "analysis.py") in line
