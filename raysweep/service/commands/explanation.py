"""What `--help` says of a study."""

from __future__ import annotations

from raysweep.service.commands.settings.composition import MOST_TRIALS
from raysweep.service.commands.settings.spaces import NO_SPACE, default_first, space_question, spaces
from raysweep.service.study import Study
from trials.core.columns import KnobField

_USAGE = """\
{question}

usage: {command} [--help] [--dry-run] [setting=value ...]

  --dry-run              print the plan (trials planned, finished, missing; time needed) and run nothing; also plan=true
  --rerun                compute anew the stored trials that other code or data made, or all where nothing differs; the
                         new runs supersede the old ones; also rerun=true
  --reuse                go on with stored trials that other code or data made, and remember it; also reuse=always

settings, as Hydra overrides:
  space=NAME|FILE.yaml   where to look, one of the spaces below or a file (default {default_space})
  axes.KNOB=VALUES       values of an axis: 1,8,64 or 0..4; in quotes 'linear(0,1,5)', 'log(1e-3,1,4)' and the like
  KNOB=VALUE             one value for a knob; several, as in seed=0..4 or width=64,128, make it an axis
  data=NAME|PLACE        data set: {data_sets}; or of your own: an .npz file, Parquet, a folder of images by class,
                         package.module:function, or a YAML record of one (docs/data_and_networks.md)
  data.path=PLACE        its folder or URL; without it, the data set's default place
  results=ROOT           results store: a folder or s3://bucket/prefix (default $RAYSWEEP_RESULTS or results)
  figure=FILE            write the main figure to FILE (png, pdf, svg, ...) and no other
  figures=all|main       draw all figures or the main one; with figure=FILE, all draws the others beside it
  executor=ray|serial    on Ray (default), or one trial after another in this process
  address=ADDRESS        Ray cluster to use (default $RAY_ADDRESS, or else a local Ray)
  resources.cpus=N       cores of one trial (default {cpus})
  resources.gpus=F       GPUs of one trial; 0.25 puts four trials on a GPU, auto measures (default {gpus})
  reuse=ask|always|never go on with stored trials that other code or data made? never computes them anew; ask, where
                         nobody can be asked, goes on with a warning for code and ends with exit code 2 for data
                         (default ask)
  most_trials=N          largest space that is run without a question (default {most_trials})
  budget.trials=N, budget.hours=H, budget.gpu_hours=H, budget.dollars=D    end this run when that is spent

exit codes: 0 all trials are in the store, 1 some failed, 2 not allowed, 3 the budget is spent, 4 the cluster was lost,
130 interrupted; after 3, 4 and 130 the same command goes on
"""


def of(study: Study) -> str:
    """Return the help text: the study, its settings, its knobs with defaults and units, and its spaces."""
    from trials.core.data.records import DATA_SETS

    names = list(spaces(study))
    usage = _USAGE.format(
        question=study.question,
        command=" ".join(study.command),
        default_space=default_first(study)[0],
        data_sets=", ".join(DATA_SETS),
        most_trials=MOST_TRIALS,
        cpus=study.resources.cpus,
        gpus=study.resources.gpus or 0,
    )
    knobs = _table([_knob(declared) for declared in study.knobs.declared()])
    described = _table(
        [*((name, space_question(study, name)) for name in names), (NO_SPACE, "one trial of the knobs given")]
    )
    return f"{usage}\nspaces:\n{described}\n\nknobs:\n{knobs}\n"


def _knob(declared: KnobField) -> tuple[str, str]:
    default = "required" if declared.required else f"default {declared.default}"
    unit = f", in {declared.unit}" if declared.unit else ""
    choices = f"; one of {', '.join(map(str, declared.choices))}" if declared.choices else ""
    return ".".join(declared.path), f"{declared.meaning}{choices} ({default}{unit})"


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)
