"""The columns that the trials of every study have."""

from __future__ import annotations

import pyarrow as pa

OUTCOMES = ("finished", "diverged", "stopped", "failed")
TIME = pa.timestamp("us", tz="UTC")

# In this order: name -> (Arrow type, unit, meaning).
COMMON: dict[str, tuple[pa.DataType, str, str]] = {
    "trial_id": (pa.string(), "", "identity of the trial: study, revision and the knobs that are not at their default"),
    "study": (pa.string(), "", "name of the study"),
    "revision": (pa.int64(), "", "revision of the study's recipe"),
    "seed": (pa.int64(), "", "seed of every random stream"),
    "outcome": (pa.string(), "", "finished, diverged, stopped or failed"),
    "error": (pa.string(), "", "traceback of a failed trial, reason of a diverged one"),
    "steps_recorded": (pa.int64(), "", "number of the trial's rows in measurements"),
    "wall_seconds": (
        pa.float64(),
        "s",
        "time from the trial's start to its end; where trials trained together, an equal share of it",
    ),
    "gpu_seconds": (pa.float64(), "s", "wall time times the fraction of a GPU"),
    "cost_dollars": (pa.float64(), "USD", "price of the time on its node type, where known"),
    "peak_memory_bytes": (
        pa.int64(),
        "bytes",
        "most memory of a GPU that tensors of the trial's process held at once, from where the trial last went on; "
        "where trials trained together, of all of them; null on a CPU",
    ),
    "started_at": (TIME, "", "start, in UTC"),
    "finished_at": (TIME, "", "end, in UTC"),
    "device": (pa.string(), "", "device of the computation: cpu or cuda"),
    "device_name": (pa.string(), "", "model of the device"),
    "gpu_fraction": (pa.float64(), "", "fraction of a GPU the trial could use"),
    "node_type": (pa.string(), "", "type of the cluster's node"),
    "git_commit": (pa.string(), "", "commit of the code, captured where the sweep was submitted"),
    "git_dirty": (pa.bool_(), "", "whether the code differed from that commit"),
    "source_hash": (pa.string(), "", "hash of the source files"),
    "code_hash": (
        pa.string(),
        "",
        "hash of the modules that the trial runs, without comments, docstrings and formatting; null in older rows",
    ),
    "data_hash": (pa.string(), "", "fingerprint of the data"),
    "rerun": (pa.int64(), "", "how many times the trial was computed anew on request; null in older rows means 0"),
    "python_version": (pa.string(), "", "version of Python"),
    "torch_version": (pa.string(), "", "version of PyTorch"),
    "ray_version": (pa.string(), "", "version of Ray, null for a serial trial"),
    "cuda_version": (pa.string(), "", "version of CUDA, null without a GPU"),
    "knobs_json": (pa.string(), "", "every knob as JSON"),
}
