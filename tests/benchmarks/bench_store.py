"""The results store's speed as ratios: reads against one Parquet file, writes against the server's raw PUT rate.

Run it by `python tests/benchmarks/bench_store.py [--trials N]`; every pair is measured in turn in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[2]))  # for the tests' servers

from analysis.store.errors import StoreWarning
from analysis.store.results import Results
from analysis.store.s3 import S3Storage, _new_client
from analysis.store.schema import Column, StudySchema
from raysweep.service.driver.upkeep import ENOUGH_PACKS
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
WRITES = 150
THREADS = 4
REPEATS = 5
TABLES = ("trials", "measurements")


def trial(number: int) -> dict[str, Any]:
    """Return a row with the columns that a trial of a sweep has on a CPU; the others are null there too."""
    now = datetime.now(UTC)
    knobs = {"width": 2 ** (number % 9), "learning_rate": 0.1 / (1 + number % 7), "seed": number}
    times = {"started_at": now, "finished_at": now, "wall_seconds": 1.5}
    versions = {"python_version": "3.11.7", "torch_version": "2.11.0", "ray_version": "2.55.0"}
    code = {"git_commit": "0" * 40, "git_dirty": False, "source_hash": "1" * 16, "data_hash": "2" * 16}
    finals = {f"final_{name}": number % 997 / 997 for name in MEASURED}
    identity = {"trial_id": f"{number:020x}", "outcome": "finished", "device": "cpu", "knobs_json": json.dumps(knobs)}
    return {**identity, **knobs, **times, **versions, **code, **finals}


def measured(number: int) -> list[dict[str, Any]]:
    return [
        {"step": step, **{name: (number * 7 + step * place) % 997 / 997 for place, name in enumerate(MEASURED)}}
        for step in range(ROWS_A_TRIAL)
    ]


def fill(results: Results, numbers: range) -> None:
    for first in range(numbers.start, numbers.stop, TRIALS_A_PACK):
        pack = range(first, min(first + TRIALS_A_PACK, numbers.stop))
        measurements = {f"{number:020x}": measured(number) for number in pack}
        results.write(SCHEMA, [trial(number) for number in pack], measurements)


def medians(*works: Callable[[], object]) -> list[float]:
    """Return the median time of each of `works`, which take turns, after an unmeasured turn."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(1 + REPEATS):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[1:]) for taken in times]


def by_arrow_alone(packs: list[Path]) -> list[pa.Table]:
    """Read files with the least that pyarrow does for each, in as many threads as there are cores."""

    def read(path: Path) -> pa.Table:
        return pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(read, packs))


def bench_reads(results: Results, state: str, one_file: Path) -> None:
    """Compare both tables with one Parquet file of the same rows, and say what many files cost any reader."""
    for name in TABLES:
        path = one_file / f"{name}.parquet"
        packs = sorted((Path(results.root) / STUDY / "inbox").glob(f"*.{name}.parquet"))
        works: dict[str, Callable[[], object]] = {
            "one Parquet file, Arrow": lambda path=path: pq.ParquetFile(path).read(),
            "raysweep, Arrow": lambda name=name: getattr(results.arrow(), name)(STUDY),
            "one Parquet file, pandas": lambda path=path: pq.ParquetFile(path).read().to_pandas(),
            "raysweep, pandas": lambda name=name: getattr(results, name)(STUDY),
        }
        if packs:
            works[f"pyarrow.parquet, the {len(packs)} packs' {name} alone"] = lambda packs=packs: by_arrow_alone(packs)
            works[f"pyarrow.dataset, the {len(packs)} packs' {name} alone"] = lambda packs=packs: ds.dataset(
                packs, format="parquet"
            ).to_table()
        taken = dict(zip(works, medians(*works.values()), strict=True))
        for what, seconds in taken.items():
            one = taken["one Parquet file, pandas" if "pandas" in what else "one Parquet file, Arrow"]
            print(f"{state}, {name}: {what:<52} {seconds:7.3f} s   ratio {seconds / one:5.2f}", flush=True)


def bench_states(trials: int) -> None:
    """Read the same rows as packs, as a sweep under way leaves them, and compacted."""
    waiting = min(ENOUGH_PACKS - 1, trials // TRIALS_A_PACK // 2) * TRIALS_A_PACK
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packs, under_way = Results(folder / "packs"), Results(folder / "under_way")
        fill(packs, range(trials))
        for table in TABLES:
            pq.write_table(getattr(packs.arrow(), table)(STUDY), folder / f"{table}.parquet", compression="zstd")
        bench_reads(packs, "nothing compacted", folder)
        fill(under_way, range(trials - waiting))
        start = time.perf_counter()
        under_way.compact(STUDY)
        print(f"compacting {trials - waiting} trials took {time.perf_counter() - start:.2f} s", flush=True)
        fill(under_way, range(trials - waiting, trials))
        bench_reads(under_way, f"sweep under way, {waiting // TRIALS_A_PACK} packs wait", folder)
        packs.compact(STUDY)
        bench_reads(packs, "all compacted", folder)


def rate(work: Callable[[int], None], first: int) -> float:
    """Return how many packs a second `work` makes in a few threads."""
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(first, first + WRITES)))
    return WRITES / (time.perf_counter() - start)


def bench_writes(name: str, server: Server) -> None:
    """Write packs of one trial, and put two bodies of the same size with plain boto3, and with raysweep's client."""
    os.environ["AWS_ENDPOINT_URL"] = server.endpoint
    clients = boto3.session.Session().client("s3", region_name="us-east-1"), _new_client()
    clients[0].create_bucket(Bucket="bench-bucket")
    storage = S3Storage(f"s3://bench-bucket/{time.time_ns()}")
    results = Results(storage.root)
    results.prepare(SCHEMA)
    requests: list[str] = []
    results._storage._client().meta.events.register("before-send.s3", lambda request, **_: requests.append(request.url))
    work = [([trial(number)], {f"{number:020x}": measured(number)}) for number in range((1 + REPEATS) * WRITES + 1)]
    results.write(SCHEMA, *work.pop())
    requests.clear()
    bodies = [storage.read(f"{STUDY}/inbox/{pack}").to_pybytes() for pack in storage.listing(f"{STUDY}/inbox")]

    def put(client: Any, number: int) -> None:
        for body in bodies:
            client.put_object(Bucket="bench-bucket", Key=f"raw/{id(client)}/{number}-{len(body)}", Body=body)

    works = [lambda number: results.write(SCHEMA, *work[number]), *(partial(put, client) for client in clients)]
    rounds = [[rate(work, first) for work in works] for first in range(0, len(work), WRITES)]
    ours, plain, same = (2 * statistics.median(column[1:]) for column in zip(*rounds, strict=True))
    print(f"{name}: {ours:.0f} objects/s by raysweep, {len(requests) / len(work):.2f} requests a pack", flush=True)
    print(f"{name}: {plain:.0f} raw PUTs/s by boto3 as it comes, ratio {ours / plain:.2f}", flush=True)
    print(f"{name}: {same:.0f} raw PUTs/s by raysweep's own client, ratio {ours / same:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30_000)
    warnings.simplefilter("ignore", StoreWarning)
    bench_states(parser.parse_args().trials)
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
