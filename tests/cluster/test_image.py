"""The image: its linter, and that its context holds what it copies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES = (ROOT / "cluster" / "Dockerfile").read_text(encoding="utf-8").splitlines()


def copied() -> list[str]:
    return [source for line in LINES if line.startswith("COPY ") for source in line.split()[1:-1]]


def test_the_linter_has_nothing_to_say() -> None:
    beside_python = str(Path(sys.executable).parent)
    linter = shutil.which("hadolint", path=beside_python)
    assert linter, f"hadolint is not in {beside_python}: install the development dependencies"
    said = subprocess.run([linter, "cluster/Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def test_the_context_is_what_is_copied_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(copied())
    for source in copied():
        assert (ROOT / source).exists()


def test_every_package_of_the_wheel_is_copied() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(copied())


def test_it_runs_as_a_user_and_asks_for_the_token() -> None:
    users = [line.split()[1] for line in LINES if line.startswith("USER ")]
    assert users[-1:] == ["1000:1000"]
    text = "\n".join(LINES)
    assert "RAY_AUTH_MODE=token" in text
    assert "HOME=/home/ray" in text  # where the launcher puts the token


def test_the_pins_are_complete() -> None:
    # The image installs them without their dependencies.
    names = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()}
    assert {"ray", "torch", "boto3", "hydra-core", "grpcio", "aiohttp-cors", "nvidia-cudnn-cu13"} <= names
