"""The project's modules and who imports whom, read from the source and not by importing it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRAWERS = ("raysweep", "trials", "search_spaces", "analysis", "cluster")
SHARED = {"raysweep": ("service",), "trials": ("core",), "search_spaces": ("core",), "analysis": ("core", "store")}
"""What the studies of a drawer share."""


def dotted(path: Path) -> str:
    """Return the name of a module, that of a package for its `__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {dotted(path): path for drawer in DRAWERS for path in sorted((ROOT / drawer).rglob("*.py"))}


def is_in(name: str, package: str) -> bool:
    """Return whether a module is a package, or lies in it."""
    return name == package or name.startswith(f"{package}.")


def within(*packages: str) -> set[str]:
    """Return the modules of packages."""
    return {name for name in SOURCES if any(is_in(name, package) for package in packages)}


def studies(drawer: str = "raysweep") -> list[str]:
    """Return the studies of a drawer: its files and folders, but for what studies share."""
    entries = (entry for entry in (ROOT / drawer).iterdir() if entry.is_dir() or entry.suffix == ".py")
    names = {entry.stem for entry in entries if entry.name[0] not in "_."}
    return sorted(names - set(SHARED[drawer]))


@functools.cache
def imported(name: str, types: bool = True) -> frozenset[str]:
    """Return what a module names in its imports, wherever they stand: `a.b` and `a.b.c` for `from a.b import c`.

    Args:
        name: The module.
        types: Whether those count that only a type checker follows.
    """
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(SOURCES[name].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and not node.level, f"{name}: imports name their module in full"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif types or not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting += ast.iter_child_nodes(node)
    return frozenset(found)


@functools.cache
def known_to(name: str, types: bool = True) -> frozenset[str]:
    """Return the project's modules that a module imports; a package stands for its `__init__`, if anything is of it."""
    found = imported(name, types) & SOURCES.keys()
    return frozenset(found - {one for one in found if any(other.startswith(f"{one}.") for other in found)})


def reached(names: Iterable[str]) -> set[str]:
    """Return the modules that are imported sooner or later where these are, themselves included."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += known_to(name)
    return seen


def cycle_among_entries(folder: Path) -> list[str]:
    """Return files and folders of a folder that import each other in a circle; none if they lie one above the other.

    Types in signatures may look up: a type checker alone follows them.
    """
    package = dotted(folder)
    depth = package.count(".") + 1
    names = within(package) - {package}
    entry_of = {name: name.split(".")[depth] for name in names}
    above: dict[str, set[str]] = {entry: set() for entry in entry_of.values()}
    for name in names:
        above[entry_of[name]] |= {entry_of[other] for other in known_to(name, types=False) if other in names} - {
            entry_of[name]
        }
    try:
        TopologicalSorter(above).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []
