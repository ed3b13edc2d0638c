"""The commands `raysweep submit|stop|status|watch`: sweeps on a cluster, from a laptop.

What a sweep has done is read from the store, which outlives jobs and their logs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from analysis.store.results import Results

Run = Callable[[Results, Console, argparse.Namespace], int]
Adder = Callable[[Any, str, Run, str], argparse.ArgumentParser]


def add_to(commands: Any, command: Adder, listed: Run) -> None:
    """Add the commands to the parser of `raysweep`.

    Args:
        commands: The parser's subcommands.
        command: Adds one of them.
        listed: What `raysweep ls` does; `status` and `watch` show the same.
    """
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
    command(commands, "status", listed, "show how far every sweep is, from the store")
    watch = command(commands, "watch", _watch(listed), "show it again and again until no trial is missing")
    watch.add_argument("--every", type=float, default=10.0, metavar="SECONDS")


def _submit(results: Results, console: Console, options: argparse.Namespace) -> int:
    from raysweep.service.commands import submission
    from raysweep.service.commands.configuration import read_settings
    from raysweep.service.studies import importable, study_named
    from raysweep.service.travel import staged

    study = importable(study_named(options.study))
    settings = read_settings(study, options.overrides)
    if "://" not in settings.results:
        console.print(f"note: {settings.results!r} is a folder of the cluster's head; s3://bucket/prefix outlives it")
    with staged(submission.taken_along(study)) as folder:
        files = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 2**20
        names = sorted(entry.name for entry in folder.iterdir())
        console.print(f"uploads {len(files)} files, {size:.1f} MiB: {', '.join(names)}")
        job = submission.submitted(study, options.overrides, folder, options.address)
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


def _watch(listed: Run) -> Run:
    def watch(results: Results, console: Console, options: argparse.Namespace) -> int:
        while True:
            listed(results, console, options)
            if not _missing(results):
                return 0
            time.sleep(options.every)

    return watch


def _missing(results: Results) -> int:
    """Return how many trials of the recorded sweeps have not finished."""
    count = 0
    for study in results.studies():
        finished = results.finished(study)
        planned = {trial_id for sweep in results.sweeps(study) for trial_id in sweep.trial_ids}
        count += len(planned - finished)
    return count
