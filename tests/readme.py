"""README: its commands and its Python, as a reader copies them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = ("python", "raysweep", "ray", "make")
SHELLS = [shell for shell in ("bash", "zsh") if shutil.which(shell)]

_NOTE = "import json, os, sys; open(os.environ['NOTED'], 'w').write(json.dumps(sys.argv[1:]))"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Return every command of the shell's blocks and of the running text, as it is written, in order."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    prose = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))
    return [*lines, *(span for span in spans if span.split()[0] in PROGRAMS and " " in span)]


def overrides_in_prose() -> list[str]:
    """Return the settings that the running text shows as a reader would type them, `seed=0..4`, quotes included."""
    prose = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    return [span for span in re.findall(r"`([^`]+)`", prose) if re.fullmatch(r"'?[a-z_.]+=[^`]+", span)]


def words(shell: str, command: str, folder: Path) -> list[str]:
    """Return the program of a command and its arguments, as a shell passes them on; none where it starts nothing.

    The programs that README names stand in the folder as ones that note what they are given, in an empty directory:
    what the shell takes for a pattern of files does not match any.

    Raises:
        CalledProcessError: The shell cannot read the command.
    """
    tools, here, noted = folder / "tools", folder / "empty", folder / "noted.json"
    for directory in (tools, here):
        directory.mkdir(exist_ok=True)
    for name in PROGRAMS:
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -c "{_NOTE}" {name} "$@"\n', encoding="utf-8")
        tool.chmod(0o755)
    noted.unlink(missing_ok=True)
    strict = "shopt -s failglob; " if shell == "bash" else ""  # zsh refuses a pattern without a match by itself
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "NOTED": str(noted)}
    script = f"{strict}{command}\n"
    subprocess.run([shell, "-c", script], cwd=here, env=environment, check=True, timeout=30, capture_output=True)
    return list(json.loads(noted.read_text(encoding="utf-8"))) if noted.exists() else []
