"""The results store's speed as ratios: reads against one Parquet file, writes against the server's raw PUT rate.

Run it by `python tests/benchmarks/bench_store.py [--trials N]`; every pair is measured in turn in one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[2]))  # for the tests' servers

from analysis.core.errors import StoreWarning
from analysis.core.packs import packed
from analysis.core.parquet import encoded
from analysis.core.results import Results
from analysis.core.schema import Column, StudySchema
from tests.conftest import KEYS, Server, moto_server, rclone_server

STUDY = "bench"
MEASURED = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "distance")
SCHEMA = StudySchema(
    study=STUDY,
    revision=1,
    knobs=(Column(name="width", type=int), Column(name="learning_rate", type=float), Column(name="seed", type=int)),
    measurements=tuple(Column(name=name, type=float) for name in MEASURED),
)
ROWS_A_TRIAL = 50
TRIALS_A_PACK = 100
WRITES = 200
THREADS = 4


def trial(number: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    knobs = {"width": 2 ** (number % 9), "learning_rate": 0.1 / (1 + number % 7), "seed": number}
    times = {"started_at": now, "finished_at": now, "wall_seconds": 1.5}
    return {"trial_id": f"{number:020x}", "outcome": "finished", "device": "cpu", **knobs, **times}


def measured(number: int) -> list[dict[str, Any]]:
    return [
        {"step": step, **{name: (number * 7 + step * place) % 997 / 997 for place, name in enumerate(MEASURED)}}
        for step in range(ROWS_A_TRIAL)
    ]


def fill(results: Results, trials: int) -> None:
    for first in range(0, trials, TRIALS_A_PACK):
        numbers = range(first, min(first + TRIALS_A_PACK, trials))
        measurements = {f"{number:020x}": measured(number) for number in numbers}
        results.write(SCHEMA, [trial(number) for number in numbers], measurements)


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the least time of `work`, which other work on the machine disturbs least, after one unmeasured run."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(what: str, ours: float, theirs: float, against: str) -> None:
    print(f"{what:<46} {ours:8.3f} s   {against:<26} {theirs:8.3f} s   ratio {ours / theirs:5.2f}", flush=True)


def bench_reads(trials: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder) / "results")
        fill(results, trials)
        arrow = results.arrow()
        files = {name: Path(folder) / f"{name}.parquet" for name in ("trials", "measurements")}
        for name, path in files.items():
            pq.write_table(getattr(arrow, name)(STUDY), path, compression="zstd")
        for state in ("before compaction", "after compaction"):
            for name, path in files.items():
                one = seconds(lambda path=path: pq.ParquetFile(path).read())
                ours = seconds(lambda name=name: getattr(arrow, name)(STUDY))
                compare(f"{name} {state}, Arrow", ours, one, "one Parquet file")
                one = seconds(lambda path=path: pq.ParquetFile(path).read().to_pandas())
                ours = seconds(lambda name=name: getattr(results, name)(STUDY))
                compare(f"{name} {state}, pandas", ours, one, "one Parquet file")
            start = time.perf_counter()
            results.compact(STUDY)
            took = time.perf_counter() - start
            if state == "before compaction":
                print(f"compacting {trials} trials took {took:.2f} s", flush=True)


def bench_writes(name: str, server: Server) -> None:
    """Write packs of one trial, and put the same bytes under other names."""
    os.environ["AWS_ENDPOINT_URL"] = server.endpoint
    client = boto3.session.Session().client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="bench-bucket")
    results = Results(f"s3://bench-bucket/{time.time_ns()}")
    results.prepare(SCHEMA)
    pack = packed(SCHEMA, [trial(0)], {trial(0)["trial_id"]: measured(0)})
    bodies = [encoded(pack.measurements), encoded(pack.trials)]

    def put(number: int) -> None:
        for body in bodies:
            client.put_object(Bucket="bench-bucket", Key=f"raw/{number}-{len(body)}", Body=body)

    def write(number: int) -> None:
        results.write(SCHEMA, [trial(number)], {f"{number:020x}": measured(number)})

    def rate(work: Callable[[int], None], first: int) -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, range(first, first + WRITES)))
        return 2 * WRITES / (time.perf_counter() - start)

    rounds = [(rate(put, first), rate(write, first)) for first in range(0, 4 * WRITES, WRITES)][1:]
    raw, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{name}: {ours:.0f} objects/s written by raysweep, {raw:.0f} raw PUTs/s, ratio {ours / raw:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30_000)
    warnings.simplefilter("ignore", StoreWarning)
    bench_reads(parser.parse_args().trials)
    os.environ.update(AWS_ACCESS_KEY_ID=KEYS[0], AWS_SECRET_ACCESS_KEY=KEYS[1])
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    with tempfile.TemporaryDirectory() as folder:
        temporary = SimpleNamespace(mktemp=lambda name: Path(folder))
        for name, serving in (
            ("moto", moto_server.__wrapped__()),
            ("rclone", rclone_server.__wrapped__(temporary)),
        ):
            server = next(serving)
            try:
                bench_writes(name, server)
            finally:
                serving.close()


if __name__ == "__main__":
    main()
