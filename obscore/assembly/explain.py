"""Why a file makes the rows that it makes: each column, its value, and where it came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from obscore.assembly.read import read_file
from obscore.assembly.refusal import Refusal
from obscore.assembly.rules import Rules
from obscore.assembly.trace import Look, Trace
from obscore.columns import COLUMNS, ObsCoreColumn
from obscore.observation import Value
from obscore.sources.base import Candidate
from vodal.storage import LOCAL, Storage

__all__ = ["ColumnOrigin", "FileOrigins", "ProductOrigins", "explain_file", "origins_of"]

_MADE_OF = ("filter", "obs_publisher_did", "s_region")
"""Columns that a step makes of what the mapping gives."""


@dataclass(frozen=True, slots=True)
class ColumnOrigin:
    """One column of a row."""

    column: str
    value: Value
    unit: str
    """Of the value; empty for none."""
    rule: str
    """Where the rule stands that gave the value, or that found nothing; empty without one."""
    by_rule: bool
    """Whether the rule gave the value."""
    sources: tuple[Look, ...]
    """The cards and facts that gave it."""
    how: tuple[str, ...]
    """How it was made, in a few words each."""
    passed_over: tuple[Look, ...]
    """Cards that have a value and did not give this one."""
    missing: tuple[str, ...]
    """Cards and facts that were looked for and have no value."""


@dataclass(frozen=True, slots=True)
class ProductOrigins:
    """One product of a file."""

    label: str
    columns: tuple[ColumnOrigin, ...]
    """Those with a value, and those for which anything was looked at; empty without a row."""
    notes: tuple[str, ...]
    refusal: Refusal | None
    """Why it is not published."""


@dataclass(frozen=True, slots=True)
class FileOrigins:
    """A file and its products."""

    uri: str
    path: str
    collection: str
    products: tuple[ProductOrigins, ...]
    notes: tuple[str, ...]
    """Of the file as a whole."""
    refusal: Refusal | None
    """Why nothing of it is published."""

    def to_dict(self) -> dict[str, object]:
        """Give all as values of JSON."""
        return asdict(self)


def explain_file(candidate: Candidate, rules: Rules, storage: Storage = LOCAL) -> FileOrigins:
    """Read a file as a run does, and tell of each column where it came from.

    Writes nothing. As `obscore.assembly.read.read_file` it never raises for a fault of the file.

    Parameters
    ----------
    candidate
        The file.
    rules
        Of its collection.
    storage
        Opens it if it lies on a server.
    """
    traces: list[Trace] = []
    outcome = read_file(candidate, rules, storage, traces)
    products = tuple(origins_of(trace, rules.columns.values()) for trace in traces)
    told = {note for product in products for note in product.notes}
    told |= {f"{product.label}: {note}" for product in products for note in product.notes}
    notes = outcome.file.notes if outcome.file is not None else ()
    return FileOrigins(
        candidate.uri, candidate.relative, candidate.collection, products,
        tuple(note for note in notes if note not in told), outcome.refusal,
    )  # fmt: skip


def origins_of(trace: Trace, items: Iterable[ObsCoreColumn] = COLUMNS) -> ProductOrigins:
    """Tell of one product what its trace has.

    Parameters
    ----------
    trace
        Of the product.
    items
        The columns that its row can have.
    """
    columns = tuple(_columns(trace, items)) if trace.row else ()
    return ProductOrigins(trace.label, columns, tuple(trace.notes), trace.refusal)


def _columns(trace: Trace, items: Iterable[ObsCoreColumn]) -> Iterator[ColumnOrigin]:
    for item in items:
        name = item.name
        value, place = trace.row.get(name), trace.places.get(name, "")
        by_rule = name in trace.given
        looks = trace.looks("rule" if by_rule else "step", name)
        first = [trace.looks("rule", name), trace.looks("step", name)]
        if by_rule and name not in _MADE_OF:
            first.pop()
        if value is None and not (place or any(one.found for one in first)):
            continue
        sources = looks.sources if value is not None else ()
        yield ColumnOrigin(
            column=name,
            value=value,
            unit=item.column.unit or "",
            rule=place,
            by_rule=by_rule,
            sources=sources,
            how=tuple(how for one in first for how in one.how if value is not None),
            passed_over=tuple(
                look for one in first for look in one.found.values() if look not in sources
            ),
            missing=tuple(dict.fromkeys(name for one in first for name in one.missing)),
        )
