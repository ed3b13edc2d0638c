"""Knobs: everything that decides a trial's outcome, and the identity that follows from it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self, get_type_hints

from trials.core.columns import KnobField
from trials.core.fingerprints import fingerprint
from trials.core.suggestions import suggestion
from trials.core.values import Scalar, checked, own_module

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays

NONE = "none"
"""Choice of a knob of text that asks for nothing."""

_SCALARS: tuple[type, ...] = (bool, int, float, str)
_RESOLVED: dict[type, Mapping[str, Any]] = {}
_COLUMNS: dict[type, tuple[KnobField, ...]] = {}


def knob(
    meaning: str,
    default: Any = MISSING,
    *,
    unit: str = "",
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    choices: tuple[Scalar, ...] = (),
    was: str = "",
    reciprocal: bool = False,
    own: bool = False,
) -> Any:
    """Declare one field of a `Knobs` class, with the values that it allows.

    Args:
        meaning: One sentence for `--help` and the table's metadata.
        default: The value that leaves a trial's id unchanged; none makes the knob required.
        unit: Empty for pure numbers and names.
        at_least: Smallest value allowed.
        above: Bound that the value must exceed.
        at_most: Largest value allowed.
        choices: The only values allowed.
        was: The name that it had at first, by which identities go on; empty for a knob that was never renamed.
        reciprocal: Whether it is 1/n of a whole number n, which is what it was under its first name.
        own: Whether it may be something of a user's own beside the choices, as `package.module:function`.
    """
    metadata: dict[str, Any] = {
        "meaning": meaning,
        "unit": unit,
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
    }
    metadata |= {"choices": choices, "was": was, "reciprocal": reciprocal, "own": own}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """Values that decide an outcome: a trial's, or a part's such as its data or a stage.

    Subclasses are frozen dataclasses whose fields are scalars declared by `knob` or nested `Knobs`. A nested field
    `data` with a field `name` is the column `data_name`.

    Raises:
        ValueError: A value is of the wrong type or outside what its field allows.
    """

    def __post_init__(self) -> None:
        types = _types(type(self))
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not issubclass(types[entry.name], Knobs):
                value = checked(entry.name, value, types[entry.name], entry.metadata)
            elif not isinstance(value, types[entry.name]):
                raise ValueError(f"{entry.name} must be {types[entry.name].__name__}, got {value!r}")
            object.__setattr__(self, entry.name, value)

    @classmethod
    def declared(cls) -> tuple[KnobField, ...]:
        """Return the columns of this class in the order of declaration, nested ones flattened."""
        if cls not in _COLUMNS:
            _COLUMNS[cls] = tuple(_declared(cls, path=()))
        return _COLUMNS[cls]

    def columns(self) -> dict[str, Scalar]:
        """Return every knob by its column name."""
        return dict(_flattened(self, prefix=""))

    def non_default(self) -> dict[str, Scalar]:
        """Return the knobs whose value differs from its default, by column name.

        A value counts as default only if it is the default of the class itself, so that a knob added later, whose
        default switches it off, keeps the identity of every older trial.
        """
        defaults = {declared.name: declared.default for declared in self.declared()}
        return {name: value for name, value in self.columns().items() if value != defaults[name]}

    def identity(self) -> dict[str, Scalar]:
        """Return the knobs whose value differs from its default, by the names that they had at first."""
        values = self.non_default()
        changed = [declared for declared in self.declared() if declared.name in values]
        return {declared.identity: declared.first_value(values[declared.name]) for declared in changed}

    def fingerprint(self) -> str:
        """Return the hash of these knobs, without those at their default; a renamed knob counts by its first name."""
        return fingerprint(self.identity())

    @classmethod
    def renamed(cls) -> dict[str, str]:
        """Return the columns that had other names at first: first name -> name."""
        return {first: declared.name for first, declared in cls._former().items()}

    @classmethod
    def _former(cls) -> dict[str, KnobField]:
        return {declared.identity: declared for declared in cls.declared() if declared.was}

    @classmethod
    def unknown(cls, name: str, allowed: Collection[str] = ()) -> str:
        """Return what to say of a name that is no column: what it is called now, was meant, or what there is."""
        now = cls._former().get(name)
        if now is None:
            here = allowed or [declared.name for declared in cls.declared()]
            return f"{name} is no knob of this study; {suggestion(name, here)}"
        return f"{name} is now called {now.name}" + (", with 1/n for what was n" if now.reciprocal else "")

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Self:
        """Build knobs from a flat mapping of column names, defaults filled in.

        Raises:
            ValueError: A name is unknown, a required knob is missing, or a value is not allowed.
        """
        unknown = set(columns) - {declared.name for declared in cls.declared()}
        if unknown:
            former = [cls.unknown(name) for name in sorted(unknown & cls.renamed().keys())]
            has = f"{cls.__name__} has {_names(cls)}"
            raise ValueError("; ".join(former) or f"unknown knobs {sorted(unknown)}; {has}")
        return _built(cls, columns, prefix="")

    @classmethod
    def from_stored(cls, columns: Mapping[str, Any]) -> Self:
        """Build knobs from columns that a store has kept, perhaps from before some were renamed."""
        former, now = cls._former(), {}
        for name, value in columns.items():
            declared = former.get(name)
            now[declared.name if declared else name] = declared.value_now(value) if declared else value
        return cls.from_columns(now)


@dataclass(frozen=True, kw_only=True)
class TrialKnobs(Knobs):
    """All that decides a trial's outcome, the seed included; other knobs never depend on the seed nor it on them."""

    seed: int = knob("seed of every random stream", 0, at_least=0)

    def unread(self) -> Collection[str]:
        """Return the knobs whose value this trial does not read: trials that differ in them alone are one training."""
        return ()

    def own_modules(self) -> Collection[str]:
        """Return the modules of a user's own that these knobs name, whose code decides the outcome as well."""
        named = (getattr(self, entry.name) for entry in fields(self) if entry.metadata.get("own"))
        return [module for value in named for module in own_module(value)]

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare these knobs with the raw arrays of data sets, by name, files and libraries, before any trial begins.

        Raises:
            ValueError: They do not suit each other.
        """


def _types(cls: type[Knobs]) -> Mapping[str, Any]:
    """Return the resolved types of a class's fields; resolving them takes longer than all else about a trial's plan."""
    if cls not in _RESOLVED:
        _RESOLVED[cls] = get_type_hints(cls)
    return _RESOLVED[cls]


def _declared(cls: type[Knobs], path: tuple[str, ...]) -> Iterator[KnobField]:
    types = _types(cls)
    for entry in fields(cls):
        here = (*path, entry.name)
        if issubclass(types[entry.name], Knobs):
            yield from _declared_nested(types[entry.name], entry.default, here)
        else:
            yield _as_declared(entry, types[entry.name], here)


def _declared_nested(cls: type[Knobs], default: Any, path: tuple[str, ...]) -> Iterator[KnobField]:
    """Yield the columns of a nested field; their defaults are those of the field's own default value, if it has one."""
    values = {} if default is MISSING else dict(_flattened(default, "_".join(path) + "_"))
    for declared in _declared(cls, path):
        yield replace(declared, default=values.get(declared.name, declared.default))


def _as_declared(entry: Any, kind: type, path: tuple[str, ...]) -> KnobField:
    if kind not in _SCALARS:
        raise TypeError(f"knob {entry.name} must be one of bool, int, float, str or Knobs, not {kind}")
    metadata = entry.metadata
    return KnobField(
        path=path,
        type=kind,
        default=entry.default,
        unit=metadata.get("unit", ""),
        meaning=metadata.get("meaning", ""),
        choices=metadata.get("choices", ()),
        was=metadata.get("was", ""),
        reciprocal=metadata.get("reciprocal", False),
    )


def _flattened(knobs: Knobs, prefix: str) -> Iterator[tuple[str, Scalar]]:
    for entry in fields(knobs):
        value = getattr(knobs, entry.name)
        if isinstance(value, Knobs):
            yield from _flattened(value, f"{prefix}{entry.name}_")
        else:
            yield f"{prefix}{entry.name}", value


def _built(cls: type[Knobs], columns: Mapping[str, Any], prefix: str) -> Any:
    types = _types(cls)
    arguments: dict[str, Any] = {}
    for entry in fields(cls):
        name, kind = f"{prefix}{entry.name}", types[entry.name]
        if issubclass(kind, Knobs):
            default = {} if entry.default is MISSING else dict(_flattened(entry.default, f"{name}_"))
            arguments[entry.name] = _built(kind, {**default, **columns}, f"{name}_")
        elif name in columns:
            arguments[entry.name] = columns[name]
        elif entry.default is MISSING:
            raise ValueError(f"{name} is required: {entry.metadata.get('meaning', '')}")
    return cls(**arguments)


def _names(cls: type[Knobs]) -> str:
    return ", ".join(declared.name for declared in cls.declared())
