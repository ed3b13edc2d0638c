"""Writers, compactors and readers at once on a real disk."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analysis.store.results import Results
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial

TRIALS = 30


def test_readers_never_miss_what_was_reported_as_done(tmp_path: Path) -> None:
    Results(tmp_path).prepare(SCHEMA)
    done: list[str] = []
    ended = threading.Event()

    def write(writer: int) -> None:
        results = Results(tmp_path)
        for number in range(TRIALS):
            name = f"w{writer}t{number}"
            results.write(SCHEMA, [trial(name)], {name: rows(float(number))})
            done.append(name)

    def compact() -> None:
        results = Results(tmp_path)
        while not ended.is_set():
            results.compact(STUDY)

    def read() -> int:
        results = Results(tmp_path).arrow()
        looks = 0
        while not ended.is_set():
            before = set(done)
            counted = results.measurements(STUDY).column("trial_id").value_counts().to_pylist()
            counts = {entry["values"]: entry["counts"] for entry in counted}
            assert before <= counts.keys()
            assert set(counts.values()) <= {3}
            looks += 1
        return looks

    with ThreadPoolExecutor(5) as pool:
        others = [pool.submit(work) for work in (compact, compact, read)]
        writers = [pool.submit(write, writer) for writer in range(2)]
        try:
            for writer in writers:
                writer.result()
        finally:
            ended.set()
        answers = [other.result() for other in others]
    assert answers[-1]
    results = Results(tmp_path)
    results.compact(STUDY)
    assert results.finished(STUDY) == set(done)
    assert len(done) == 2 * TRIALS
    assert results.check(STUDY) == []
