"""Submission: a study as a job on a Ray cluster, with the provenance that a job's copy of the source has lost."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.store.errors import StoreError
from analysis.store.results import Results
from raysweep.service import provenance
from raysweep.service.commands.settings.spaces import asked_space
from raysweep.service.declared import named_by_knobs, own_places
from raysweep.service.errors import ClusterError
from raysweep.service.study import Study
from trials.core.values import own_module

if TYPE_CHECKING:
    from raysweep.service.commands.configuration import Settings

# What a job needs and nothing else: results, environments and caches of the laptop stay there.
UPLOADED = ("raysweep", "trials", "search_spaces", "analysis", "cluster", "pyproject.toml", "README.md", "LICENSE")
# Where the results are is no secret; credentials come from the cluster's own role or environment.
FORWARDED = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "RAYSWEEP_RESULTS")
POLL_SECONDS = 2.0
# What they say of packages is said by `submit` in its own words.
_NOISY = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
# A head node that restarts or a laptop that sleeps is waited for this long.
PATIENCE_SECONDS = 600.0
# How a job can end -> exit code of a command that followed it; one that failed ends as its sweep did.
_ENDED = {"SUCCEEDED": 0, "STOPPED": 130, "FAILED": 1}


@dataclass(frozen=True)
class Submission:
    """A job on a cluster.

    Attributes:
        client: Ray's job client.
        job_id: The job's id.
    """

    client: Any
    job_id: str

    def followed(self) -> int:
        """Print the job's log as it grows, through losses of the connection, and return the sweep's exit code."""
        printed = 0
        while True:
            status = str(_patiently(self.client.get_job_status, self.job_id))
            log = _patiently(self.client.get_job_logs, self.job_id)
            sys.stdout.write(log[printed:])
            sys.stdout.flush()
            printed = len(log)
            if status in _ENDED:
                return self._exit_code(status)
            time.sleep(POLL_SECONDS)

    def _exit_code(self, status: str) -> int:
        if status == "FAILED":
            return int(_patiently(self.client.get_job_info, self.job_id).driver_exit_code or 1)
        return _ENDED[status]


def taken_along(study: Study, overrides: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return what a job needs, and the overrides as they are there.

    That is raysweep, the package or the file of a study of one's own, those of networks and data that overrides name,
    and the file of a space with those beside it that it inherits from.
    """
    values = [override.partition("=")[2].strip("'\"") for override in overrides]
    named = named_by_knobs(module for value in values for module in own_module(value))
    places = [*(provenance.SOURCE_ROOT / name for name in UPLOADED), *own_places(study.module, *named)]
    there = []
    for override in overrides:
        key, _, value = override.partition("=")
        files = asked_space(study, value.strip("'\"")).files if key == "space" else ()
        places += files
        there.append(f"space={files[0].name}" if files else override)
    return places, there


def submitted(
    study: Study, settings: Settings, overrides: Sequence[str], folder: Path, address: str | None
) -> Submission:
    """Submit the study's command with the overrides and return the job.

    Args:
        study: The study.
        settings: What the overrides come to.
        overrides: Its settings.
        folder: What the job takes along, and where it works.
        address: URL of the job server; None means RAY_API_SERVER_ADDRESS, RAY_ADDRESS, or the one on this machine.

    Raises:
        ClusterError: There is no job server, or it refuses the token or the job.
    """
    command = shlex.join([*study.command, *overrides])
    variables = {name: os.environ[name] for name in FORWARDED if name in os.environ}
    variables[provenance.SUBMITTED] = provenance.captured().as_json()
    client = connected_to_jobs(address)
    with _announced(study, settings, command) as announcement:
        try:
            job_id = client.submit_job(
                entrypoint=command,
                runtime_env={"working_dir": str(folder), "env_vars": variables | announcement},
                metadata={"raysweep_study": study.name, "raysweep_command": command},
            )
        except RuntimeError as error:  # the client raises no other, whatever is wrong
            raise ClusterError(f"the cluster does not take the job: {_first_line(error)}") from None
    return Submission(client, job_id)


@contextlib.contextmanager
def _announced(study: Study, settings: Settings, command: str) -> Iterator[dict[str, str]]:
    """Tell the store that a plan will come, where the job's store can be written from here as well.

    Yields the variable that names the record to the job, which removes it; without a job it is removed here.
    """
    from raysweep.service.commands import records

    place = Path(settings.results)
    if "://" not in settings.results and not (place.is_absolute() and place.is_dir()):
        yield {}  # a folder of another machine
        return
    results = Results(settings.results)
    try:
        identity = records.announce(study, settings, command, results)
    except StoreError:  # this machine needs no right to write what the cluster writes
        yield {}
        return
    try:
        yield {records.ANNOUNCED: identity}
    except BaseException:
        results.forget_sweep(study.name, identity)
        raise


def connected_to_jobs(address: str | None) -> Any:
    """Return Ray's job client.

    Raises:
        ClusterError: There is no job server at the address, or it refuses the token.
    """
    from ray.job_submission import JobSubmissionClient

    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    if address:
        # In Ray the environment beats the argument; what a user types on the command line should win.
        os.environ["RAY_API_SERVER_ADDRESS"] = address
    try:
        return JobSubmissionClient(address)
    except Exception as error:  # noqa: BLE001 - the client raises bare RuntimeErrors, and Ray's own for tokens
        where = address or os.environ.get("RAY_API_SERVER_ADDRESS") or "http://127.0.0.1:8265"
        reason = _first_line(error)
        advice = "a cluster with RAY_AUTH_MODE=token wants the same token here (ray get-auth-token)"
        raise ClusterError(f"no job server at {where}: {reason}; {advice}") from None


def _patiently(ask: Any, job_id: str) -> Any:
    """Return the answer of the job server, waiting for it while it cannot be reached."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask(job_id)
        except Exception as error:  # noqa: BLE001 - the client turns lost connections into bare RuntimeErrors
            if time.monotonic() > end:
                raise ClusterError(f"the job server has not answered for {PATIENCE_SECONDS:.0f} s: {error}") from None
            time.sleep(POLL_SECONDS)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
