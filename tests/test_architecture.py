"""The shape of the project: which drawer may know which, and that a study is one name in all of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.drawers import (
    DRAWERS,
    ROOT,
    SHARED,
    SOURCES,
    cycle_among_entries,
    imported,
    is_in,
    known_to,
    reached,
    studies,
    within,
)

LONGEST_FILE, LONGEST_FUNCTION, LARGEST_FOLDER, MOST_IMPORTS = 250, 60, 25, 20
LINES_OF_ONE_STUDY = 440
"""Lines of the cores that one study alone reaches: what is said here may only fall."""

ROOMS = {
    "trials/core": {"augmentation", "data", "layer_groups", "losses", "networks", "probes", "rounds", "training"},
    "search_spaces/core": set(),
    "analysis/core": set(),
    "analysis/store": set(),
    "raysweep/service": {"commands", "driver", "worker"},
}
"""The folders of what studies share: to add one is to decide something about the whole project."""

FOLDERS = sorted(
    folder
    for top in (*(ROOT / drawer for drawer in DRAWERS), ROOT / "tests")
    for folder in (top, *top.rglob("*"))
    if folder.is_dir() and folder.name[0] not in "_."
)


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_study_has_one_name_in_all_drawers() -> None:
    assert "k_phase_diagram" in studies()
    for drawer in SHARED:
        assert studies(drawer) == studies()


@pytest.mark.parametrize("study", studies())
@pytest.mark.parametrize("drawer", ["trials", "analysis"])
def test_a_study_imports_from_its_drawer_itself_and_what_is_shared(drawer: str, study: str) -> None:
    allowed = [f"{drawer}.{name}" for name in (study, *SHARED[drawer])]
    for name in within(f"{drawer}.{study}"):
        strange = {other for other in known_to(name) if is_in(other, drawer)} - within(*allowed)
        assert not strange, f"{name} imports {sorted(strange)}"


@pytest.mark.parametrize("study", studies())
def test_a_declaration_imports_its_own_study_and_the_service_alone(study: str) -> None:
    allowed = ("raysweep.service", f"trials.{study}", f"analysis.{study}", "__future__")
    declaration = ast.parse(SOURCES[f"raysweep.{study}"].read_text(encoding="utf-8"))
    by_name = {
        node.value.value
        for node in ast.walk(declaration)
        if isinstance(node, ast.keyword) and node.arg in {"recipe", "figures"} and isinstance(node.value, ast.Constant)
    }
    assert by_name <= SOURCES.keys()
    strange = {one for one in imported(f"raysweep.{study}") | by_name if not any(is_in(one, name) for name in allowed)}
    assert not strange


@pytest.mark.parametrize("shared", [f"{drawer}.{name}" for drawer in SHARED for name in SHARED[drawer]])
def test_what_is_shared_knows_no_study(shared: str) -> None:
    of_studies = within(*(f"{drawer}.{study}" for drawer in SHARED for study in studies()))
    for name in within(shared):
        strange = known_to(name) & of_studies
        assert not strange, f"{name} imports {sorted(strange)}"


@pytest.mark.parametrize("core", ROOMS)
def test_the_rooms_of_what_is_shared_are_these(core: str) -> None:
    assert {path.name for path in (ROOT / core).iterdir() if path.is_dir() and path.name[0] not in "_."} == ROOMS[core]


def test_what_one_study_alone_reaches_in_the_cores_does_not_grow() -> None:
    """What the service and the planners reach is shared, and so are the plots for frames of a user's own.

    So is what nothing but a package's docstring is in.
    """
    shared = reached({*within("raysweep.service", "search_spaces.core"), "analysis"})
    of = {study: reached(within(f"trials.{study}", f"analysis.{study}")) - shared for study in studies()}
    times = Counter(name for names in of.values() for name in names)
    lines = {
        f"{study}: {name}": len(SOURCES[name].read_text(encoding="utf-8").splitlines())
        for study, names in of.items()
        for name in names & within("trials.core", "analysis.core")
        if times[name] == 1 and SOURCES[name].name != "__init__.py"
    }
    told = "\n".join(f"{count:5} {name}" for name, count in sorted(lines.items()))
    assert sum(lines.values()) <= LINES_OF_ONE_STUDY, f"move it to its study's package, or share it:\n{told}"


def test_imports_point_one_way() -> None:
    linter = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert linter.returncode == 0, linter.stdout


@pytest.mark.parametrize("folder", FOLDERS, ids=where)
def test_folders_are_small_and_their_entries_lie_one_above_the_other(folder: Path) -> None:
    assert sum(path.is_file() for path in folder.iterdir()) <= LARGEST_FOLDER
    assert not cycle_among_entries(folder)


def test_a_class_of_the_trials_has_its_name_to_itself() -> None:
    named: dict[str, list[str]] = {}
    for name in within("trials"):
        for node in ast.parse(SOURCES[name].read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name[0] != "_":
                named.setdefault(node.name, []).append(name)
    assert {name: sorted(modules) for name, modules in named.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("study", studies())
def test_a_recipe_is_read_in_one_go(study: str) -> None:
    """Its imports are few, and `run` is a function like any other, short."""
    path = SOURCES.get(f"trials.{study}.recipe", SOURCES[f"trials.{study}"])
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    modules = [node.module for node in statements if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    assert len(modules) + sum(isinstance(node, ast.Import) for node in statements) < MOST_IMPORTS
    assert any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in statements)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=where)
def test_what_a_page_names_is_there(page: Path) -> None:
    """Paths are given from the root, from the service's drawer, or from the training core; links from the page."""
    text = page.read_text(encoding="utf-8")
    places = (ROOT, ROOT / "raysweep", ROOT / "trials" / "core")
    named = set(re.findall(r"`(\w+/[\w/.]+?)/?`", text))
    inside = {name for name in named if any((place / name.split("/")[0]).is_dir() for place in places)}
    assert {name for name in inside if not any((place / name).exists() for place in places)} == set()
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)
    assert {link for link in links if not (page.parent / link).exists()} == set()
    spaces = re.findall(r"python -m raysweep\.(\w+)[^\n`]*? space=(\w+)", text)
    assert {f"{study}/{name}.yaml" for study, name in spaces if name != "none"} <= {
        f"{file.parent.name}/{file.name}" for file in (ROOT / "search_spaces").rglob("*.yaml")
    }


def test_the_results_open_without_torch_or_ray() -> None:
    code = "import raysweep, sys; print(sorted({'ray', 'torch', 'hydra'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES.values(), ids=where)
def test_files_and_functions_are_short_enough_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name
