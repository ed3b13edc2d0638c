"""The files of a new study, as `raysweep new` writes them: it runs, draws and is tested at once."""

from __future__ import annotations

from string import Template

_RECIPE = '''\
"""$title: say here what is trained and what is measured, and where the method is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

${first}from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.knobs import TrialKnobs, knob
from trials.core.rows import Measurement, Row, logarithmic_steps, refuse_divergence

MEASUREMENTS = {"test_acc": Measurement(meaning="accuracy on the test samples")}
_DATA = DataKnobs(train_size=500)


@dataclass(frozen=True, kw_only=True)
class ${knobs}(TrialKnobs):
    """All that decides the outcome of one training."""

    learning_rate: float = knob("step length along the gradient", 0.1, above=0)
    steps: int = knob("steps", 300, unit="steps", at_least=1)
    data: DataKnobs = _DATA


def run(knobs: ${knobs}, context: TrialContext) -> Iterator[Row]:
    """Train a linear classifier by SGD, and yield a row at log-spaced steps."""
    from torch import nn  # here, since help and plans do without torch
$gap    from trials.core.layer_groups import groups, training
    from trials.core.losses.classification import cross_entropy
    from trials.core.streams import drawn_from
    from trials.core.training import batches, course

    train, test = context.data(knobs.data)
    with drawn_from(knobs.seed, "initialisation"):
        parts = {"flat": nn.Flatten(), "head": nn.Linear(train.inputs[0].numel(), train.classes)}
        network = groups.LayerGroups(parts).to(context.device)
    step, rows = training.descent(learning_rate=knobs.learning_rate), logarithmic_steps(knobs.steps, 4)
    sees = batches.seen(batches.formed(train), batches.epochs(knobs.seed, len(train), 50, context.device))
    begun = training.of_groups(network, cross_entropy, step.rule)
    for now in course.course(
        begun, step, sees, steps=knobs.steps, rows_at=lambda now: now.step in rows, context=context, past=None
    ):
        row = {"step": now.step, "test_acc": training.fit_of(network, test).accuracy}
        refuse_divergence(row, [0.0], last=now.last)
        yield row
'''
_FIGURES = '''\
"""$title: its figures and the numbers behind them."""

from analysis.core.figures import Drawing
from analysis.core.plots import curves
from analysis.store.results import Results


def draw(results: Results) -> list[Drawing]:
    """Return the test accuracy against the learning rate."""
    return [curves(results.trials("$name"), "learning_rate", "final_test_acc", scales={"learning_rate": "log"})]
'''
_STUDY = """\
STUDY = Study(
    name="$name",
    question="Which learning rate is the best?",
    knobs=${knobs},
    measurements=MEASUREMENTS,
    figures="$figures",
    across="learning_rate",
    headline="final_test_acc",
)
"""
_HEAD = '''\
"""$title: ask a question."""

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.$name import MEASUREMENTS, ${knobs}

'''
_MAIN = """
if __name__ == "__main__":
    raise SystemExit(main(STUDY))
"""
_OWN_MAIN = '''\
"""The command `python -m $module`."""

from raysweep import main

from $module import STUDY

raise SystemExit(main(STUDY))
'''
_LAPTOP = """\
# learning rates, three seeds: seconds on a laptop
axes: {learning_rate: "log(0.001, 1, 7)", seed: range(3)}
"""
_SMOKE = """\
# the smallest sweep that draws
axes: {learning_rate: [0.01, 0.1], seed: range(2)}
"""


def in_the_repository(name: str) -> dict[str, str]:
    """Return the files of a study of this repository, path -> text."""
    words = _words(name, figures=f"analysis.{name}", first="", gap="\n")
    return {
        f"trials/{name}.py": _filled(_RECIPE, words),
        f"analysis/{name}.py": _filled(_FIGURES, words),
        f"raysweep/{name}.py": _filled(_HEAD + _STUDY + _MAIN, words),
        f"search_spaces/{name}/laptop.yaml": _LAPTOP,
        f"search_spaces/{name}/smoke.yaml": _SMOKE,
    }


def of_ones_own(module: str) -> dict[str, str]:
    """Return the files of a study that is a package of its own or lies in one, path -> text."""
    folder, name = module.replace(".", "/"), module.rpartition(".")[2]
    words = _words(name, figures=f"{module}.figures", first="from raysweep import Study\n", gap="")
    return {
        f"{folder}/__init__.py": _filled(f"{_RECIPE}\n\n{_STUDY}", words),
        f"{folder}/figures.py": _filled(_FIGURES, words),
        f"{folder}/__main__.py": _filled(_OWN_MAIN, {"module": module}),
        f"{folder}/spaces/laptop.yaml": _LAPTOP,
        f"{folder}/spaces/smoke.yaml": _SMOKE,
    }


def _words(name: str, **others: str) -> dict[str, str]:
    title = name.replace("_", " ").capitalize()
    return {"name": name, "title": title, "knobs": f"{title.title().replace(' ', '')}Knobs", **others}


def _filled(text: str, words: dict[str, str]) -> str:
    return Template(text).substitute(words)
