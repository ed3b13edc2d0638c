"""The commands `raysweep submit|stop|follow`: sweeps on a cluster, from a laptop.

What a sweep has done is read from the store, which outlives jobs and their logs: `raysweep ls` and `watch`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from rich.console import Console

from analysis.store.results import Results

Run = Callable[[Results, Console, argparse.Namespace], int]
Adder = Callable[[Any, str, Run, str], argparse.ArgumentParser]


def add_to(commands: Any, command: Adder) -> None:
    """Add the commands to a parser's commands."""
    submit = command(commands, "submit", _submit, "run a study as a job on a Ray cluster and follow its log")
    submit.add_argument("study", metavar="STUDY")
    submit.add_argument("overrides", metavar="SETTING=VALUE", nargs="*")
    submit.add_argument("--no-wait", action="store_true", help="do not follow the log")
    stop = command(commands, "stop", _stop, "stop a job; its finished trials stay, the same command goes on")
    stop.add_argument("job", metavar="JOB", help="id that submit printed")
    follow = command(commands, "follow", _follow, "follow the log of a job from its beginning")
    follow.add_argument("job", metavar="JOB", help="id that submit printed")
    for parser in (submit, stop, follow):
        parser.add_argument(
            "--address", metavar="URL", help="job server (default: RAY_API_SERVER_ADDRESS, RAY_ADDRESS)"
        )


def _submit(results: Results, console: Console, options: argparse.Namespace) -> int:
    from raysweep.service.commands import submission
    from raysweep.service.commands.configuration import read_settings
    from raysweep.service.commands.settings.keywords import overrides_of
    from raysweep.service.studies import importable, study_named
    from raysweep.service.travel import staged

    study = importable(study_named(options.study))
    given = any(override.partition("=")[0] == "results" for override in options.overrides)
    place = overrides_of(study, {"results": options.given_results}) if options.given_results and not given else []
    overrides = [*options.overrides, *place]
    settings = read_settings(study, overrides)
    if "://" not in settings.results:
        console.print(f"note: {settings.results!r} is a folder of the cluster's head; s3://bucket/prefix outlives it")
    places, there = submission.taken_along(study, overrides)
    with staged(places) as folder:
        files = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 2**20
        names = sorted(entry.name for entry in folder.iterdir())
        console.print(f"uploads {len(files)} files, {size:.1f} MiB: {', '.join(names)}")
        job = submission.submitted(study, settings, there, folder, options.address)
    console.print(f"job {job.job_id}; raysweep follow {job.job_id}, raysweep stop {job.job_id}")
    return 0 if options.no_wait else job.followed()


def _stop(results: Results, console: Console, options: argparse.Namespace) -> int:
    from raysweep.service.commands.submission import connected_to_jobs

    stopped = connected_to_jobs(options.address).stop_job(options.job)
    console.print(f"job {options.job} is told to stop" if stopped else f"job {options.job} had ended already")
    return 0


def _follow(results: Results, console: Console, options: argparse.Namespace) -> int:
    from raysweep.service.commands.submission import Submission, connected_to_jobs

    return Submission(connected_to_jobs(options.address), options.job).followed()
