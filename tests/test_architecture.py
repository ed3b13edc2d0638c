"""The shape of the project: which drawer may know which, and that a study is one name in all of them."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("raysweep", "trials", "search_spaces", "analysis", "cluster")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 250, 60


def names(drawer: str) -> set[str]:
    """Return the studies of a drawer: its modules or folders, but for what studies share."""
    found = {module.name for module in pkgutil.iter_modules([str(ROOT / drawer)])}
    if drawer == "search_spaces":
        found = {entry.name for entry in (ROOT / drawer).iterdir() if entry.is_dir() and entry.name[0] not in "_."}
    return found - {"core", "service", "__main__"}


def test_a_study_has_one_name_in_all_drawers() -> None:
    studies = names("raysweep")
    assert "k_phase_diagram" in studies
    for drawer in ("trials", "search_spaces", "analysis"):
        assert names(drawer) == studies


def test_imports_point_one_way() -> None:
    linter = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert linter.returncode == 0, linter.stdout


def test_the_results_open_without_torch_or_ray() -> None:
    code = "import raysweep, sys; print(sorted({'ray', 'torch', 'hydra'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short_enough_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name
