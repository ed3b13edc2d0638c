"""Dependencies: which modules a recipe runs, found in their sources without importing any."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

OWN = "trials"
"""Package that counts wherever it is installed."""
_SERVICE = frozenset({"raysweep", "analysis", "search_spaces", "cluster"})
"""Packages that hand out trials, store and draw them, and take no part in what a trial computes."""
_IMPORTERS = frozenset({"import_module", "resolve_name", "__import__"})
_WITHOUT_MEANING = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_SCRIPT = "__main__"

Modules = Mapping[str, str]
"""Name of a module -> hash of its code, without comments, docstrings and formatting."""
Import = tuple[int, str]
"""How many packages up an import begins, 0 for a full name, and the name from there."""


def modules_of(*roots: str) -> Modules:
    """Return the modules that are run when some are imported, and when what they import as they run is imported.

    Counted are the packages of the roots, `trials`, and whatever is no installed library: modules of a user's own. An
    import inside a function counts like any other, one for the type checker alone does not.

    Args:
        roots: Names of modules. One that has no source is left out.
    """
    _spec.cache_clear()
    roots = tuple(map(_own_name, roots))
    owners = frozenset({OWN, *map(_top, roots)} - _SERVICE)
    found: dict[str, str] = {}
    waiting = [part for root in roots for part in _with_packages(root)]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        file = _source(name, owners)
        if file is None:
            continue
        found[name], imports = _described(file.read_bytes())
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for level, target in imports:
            fresh = set(_with_packages(_absolute(package, level, target))) - seen
            seen |= fresh
            waiting += fresh
    return dict(sorted(found.items()))


def changed_modules(before: Modules, now: Modules) -> list[str]:
    """Return the names of modules that one has and the other has not, or has otherwise."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _own_name(name: str) -> str:
    """Return the name by which others import a module, also of that which Python was started with."""
    spec = getattr(sys.modules.get(_SCRIPT), "__spec__", None) if name == _SCRIPT else None
    return name if spec is None else spec.name


def _top(name: str) -> str:
    return name.partition(".")[0]


def _with_packages(name: str) -> Iterator[str]:
    """Yield the packages around a module, which are run before it, and the module."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _absolute(package: str, level: int, target: str) -> str:
    """Return the full name of what an import statement names in a module of `package`."""
    if not level:
        return target
    around = package.split(".")
    return ".".join([*around[: len(around) - level + 1], *([target] if target else [])])


def _source(name: str, owners: frozenset[str]) -> Path | None:
    """Return the source file of a module that counts; None for packages without one, libraries, and no modules."""
    top = _top(name)
    if name == _SCRIPT:
        file = getattr(sys.modules[_SCRIPT], "__file__", None)
        return Path(file) if file is not None and Path(file).is_file() else None  # a program read from a pipe has none
    if top in _SERVICE or (top in sys.stdlib_module_names and top not in owners):
        return None
    spec = _spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return None if top not in owners and _is_installed(spec.origin) else Path(spec.origin)


@functools.cache
def _spec(name: str) -> ModuleSpec | None:
    """Return where a module is, without importing it or a package around it."""
    if isinstance(loaded := getattr(sys.modules.get(name), "__spec__", None), ModuleSpec):
        return loaded
    package = name.rpartition(".")[0]
    around = _spec(package) if package else None
    places = None if around is None else around.submodule_search_locations
    if package and places is None:
        return None
    for finder in sys.meta_path:
        with contextlib.suppress(ImportError, AttributeError, ValueError):
            if spec := finder.find_spec(name, places):
                return spec
    return None


def _is_installed(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts) or file.startswith(_libraries())


@functools.cache
def _libraries() -> tuple[str, ...]:
    return tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))


@functools.lru_cache(maxsize=1024)
def _described(content: bytes) -> tuple[str, frozenset[Import]]:
    """Return the hash of a file's code, and its imports."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # it cannot be run either
        return f"no Python {hashlib.sha256(content).hexdigest()[:20]}", frozenset()
    pieces: list[str] = []
    _write(tree, pieces.append)
    digest = hashlib.sha256("".join(pieces).encode(errors="surrogatepass")).hexdigest()[:20]
    return digest, frozenset(_imports(tree))


def _imports(node: ast.AST) -> Iterator[Import]:
    """Yield what is imported anywhere below; what comes out of a package may be a module of it."""
    if isinstance(node, ast.Import):
        yield from ((0, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = [node.module] if node.module else []
        yield node.level, ".".join(module)
        yield from ((node.level, ".".join([*module, alias.name])) for alias in node.names)
    elif isinstance(node, ast.Call):
        yield from _named_in_call(node)
    children = node.orelse if isinstance(node, ast.If) and _is_for_types(node.test) else ast.iter_child_nodes(node)
    for child in children:
        yield from _imports(child)


def _is_for_types(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _named_in_call(call: ast.Call) -> Iterator[Import]:
    """Yield the module that a call imports by its name."""
    called = getattr(call.func, "id", "") or getattr(call.func, "attr", "")
    first = call.args[0] if call.args else None
    if called in _IMPORTERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
        yield 0, first.value.partition(":")[0]


def _write(value: Any, write: Callable[[str], None]) -> None:
    """Write a syntax tree as text that has no positions, and no fields that are empty: versions of Python add such."""
    if isinstance(value, ast.Constant):
        write(f"{type(value.value).__name__}:{value.value!r}")
    elif isinstance(value, ast.AST):
        write(f"{type(value).__name__}(")
        for name in value._fields:
            below = getattr(value, name, None)
            if below not in (None, []) and name not in _WITHOUT_MEANING:
                write(f"{name}=")
                _write(below, write)
        write(")")
    elif isinstance(value, list):
        write("[")
        for item in value:
            if not _is_text_alone(item):
                _write(item, write)
                write(",")
        write("]")
    else:
        write(repr(value))


def _is_text_alone(item: Any) -> bool:
    """Whether a statement does nothing, as docstrings do."""
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
