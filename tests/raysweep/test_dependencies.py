"""Which modules a recipe runs, and what of them counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raysweep.service.code import code_of
from raysweep.service.dependencies import changed_modules, modules_of
from tests.drawers import reached, within
from tests.studies import every_study

Write = Callable[..., None]

RECIPE = '''
"""A recipe."""
from __future__ import annotations
import json
from typing import TYPE_CHECKING
import numpy as np
from own_package import first
from own_package.deep.below import thing
from raysweep.service.study import Study
if TYPE_CHECKING:
    from own_package import types_alone
else:
    import own_other
def run(knobs, context):
    if knobs:
        from .late import late
        import importlib
        importlib.import_module("own_package.named")
    return np, json
'''


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what writes modules of a user's own, who has a package and a module on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(**texts: str) -> None:
        for name, text in texts.items():
            file = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            (file.parent / "__init__.py").touch()
            file.write_text(text, encoding="utf-8")

    written(
        own_package__recipe=RECIPE,
        own_package__first="from . import second\n",
        own_package__second="import own_package.first\nimport missing_library, torch, trials.core.rows\n",
        own_package__deep__below="from .. import third\n",
        own_package__third="",
        own_package__late="",
        own_package__named="",
        own_package__types_alone="",
        own_package__never="",
        own_other="",
    )
    (tmp_path / "__init__.py").unlink()
    return written


def test_everything_of_ones_own_that_is_run_counts_and_nothing_else(write: Write) -> None:
    found = modules_of("own_package.recipe")
    own = {name for name in found if not name.startswith("trials")}
    named = ("", ".recipe", ".first", ".second", ".deep", ".deep.below", ".third", ".late", ".named")
    assert own == {*(f"own_package{name}" for name in named), "own_other"}
    assert {"trials", "trials.core", "trials.core.rows"} <= found.keys()
    assert not {name.partition(".")[0] for name in sys.modules} & {"own_package", "own_other"}


def test_what_is_no_code_has_no_say(write: Write) -> None:
    write(own_package__third='X = {"a": 1e-3}\n\n\ndef f(x):\n    return [x, 1]\n')
    before = modules_of("own_package.recipe")
    write(
        own_package__third="""'''A module.'''
# It says nothing new.
X = {'a':
    0.001}
'''What X is.'''
def f(x):
    '''Return x.'''
    return [
        x, 1,  # and 1
    ]
"""
    )
    assert modules_of("own_package.recipe") == before


@pytest.mark.parametrize(
    "text",
    [
        'X = {"a": 2e-3}\n\n\ndef f(x):\n    return [x, 1]\n',
        'X = {"a": 1e-3}\n\n\ndef f(x):\n    return [x, 1.0]\n',
        'X = {"a": 1e-3}\n\n\ndef f(x):\n    return [x, True]\n',
        'X = {"a": 1e-3}\n\n\ndef f(x):\n    return [x, "1"]\n',
        'X = {"a": 1e-3}\n\n\ndef f(x):\n    return\n',
        'X = {"a": 1e-3}\n\n\ndef f(x):\n    return [x], 1\n',
        'X = {**{}, "a": 1e-3}\n\n\ndef f(x):\n    return [x, 1]\n',
        "this is no Python\n",
    ],
)
def test_whatever_else_changes_is_named(write: Write, text: str) -> None:
    write(own_package__third='X = {"a": 1e-3}\n\n\ndef f(x):\n    return [x, 1]\n')
    before = modules_of("own_package.recipe")
    write(own_package__third=text)
    assert changed_modules(before, modules_of("own_package.recipe")) == ["own_package.third"]


def test_a_module_that_is_gone_or_new_is_named(write: Write) -> None:
    before = modules_of("own_package.recipe")
    write(
        own_package__third="import own_package.never\n", own_package__recipe=RECIPE.replace("import own_other", "pass")
    )
    changed = ["own_other", "own_package.never", "own_package.recipe", "own_package.third"]
    assert changed_modules(before, modules_of("own_package.recipe")) == changed


@pytest.mark.parametrize("study", every_study(), ids=lambda study: study.name)
def test_a_recipe_of_this_project_runs_what_its_imports_say(study) -> None:
    assert isinstance(study.recipe, str)
    found = modules_of(study.recipe)
    assert found.keys() <= reached(within(study.recipe)) | {study.recipe, *(_around(name) for name in found)}
    assert {"trials", "trials.core", study.recipe} <= found.keys()
    assert all(name.partition(".")[0] == "trials" for name in found)
    assert set(code_of(study).recipe) == {study.recipe, study.knobs.__module__}


def _around(name: str) -> str:
    return name.rpartition(".")[0]


def test_all_that_importing_a_recipe_imports_is_among_them() -> None:
    recipe = "trials.multi_view.recipe"
    code = f"import sys, {recipe}; print(*(name for name in sys.modules if name.partition('.')[0] == 'trials'))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= modules_of(recipe).keys()
