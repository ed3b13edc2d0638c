"""The tutorial: a notebook that runs as it stands, and is kept without what it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.ipynb"
# A process of its own, for the client leaves sockets to the collector. Its own are files: no port is asked for.
EXECUTE = """
import sys, nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, km=AsyncKernelManager(kernel_name="python3", transport="ipc"), timeout=300).execute()
nbformat.write(notebook, sys.argv[2])
"""


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    """Return the cells of code of a notebook."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_tutorial_is_kept_without_what_it_shows() -> None:
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells_of(TUTORIAL))


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path) -> None:
    folders = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR")}
    executed = subprocess.run(
        [sys.executable, "-c", EXECUTE, TUTORIAL, tmp_path / "executed.ipynb"],
        cwd=tmp_path,
        env={**os.environ, **folders, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert executed.returncode == 0, executed.stderr
    outputs = {
        "".join(cell["source"]).partition("\n")[0]: cell["outputs"] for cell in cells_of(tmp_path / "executed.ipynb")
    }

    def shown(first_line: str, kind: str) -> list[str]:
        return ["".join(output.get("data", {}).get(kind, "")) for output in outputs[first_line]]

    assert "8 trials, 0 finished, 8 to run" in shown("settings = {", "text/html")[-1]
    *progress, table = shown('sweep = raysweep.sweep("k_phase_diagram", **settings)', "text/html")
    assert any("8/8" in bar for bar in progress), "the bar is redrawn in place"
    assert "8 trials, 6 finished, 2 diverged, 0 failed, 0 missing" in table
    assert "did you mean" in "".join(outputs["try:"][0]["text"])
    for line in ('sweep.figures["main"]', "print(sweep.figures)", "from analysis import boundary, curves"):
        assert shown(line, "image/png")[-1]
    assert not [each for of_cell in outputs.values() for each in of_cell if each.get("name") == "stderr"]
    assert (tmp_path / "boundary.png").exists()
