"""Products by conditions in ADQL, for services that know nothing of the query engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from obscore.adql.wording import text_literal
from obscore.store.base import Backend
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from vodal.access.rules import EVERYTHING, Rights
from vodal.regions import Region
from vodal.sphere import bounding_cap
from vodal.vectors import point_of

__all__ = ["ConditionSearch"]

_CONNECTIONS = 4


class ConditionSearch:
    """Finds products that meet a condition, by the engine of TAP queries.

    Parameters
    ----------
    backend
        The store.
    settings
        Limits of queries.
    """

    def __init__(self, backend: Backend, settings: TapSettings) -> None:
        engine = backend.engine(
            connections=_CONNECTIONS, wait_s=settings.wait_limit_s, batch_rows=settings.batch_rows
        )
        self._runner = QueryRunner(engine, settings)

    def search(
        self, condition: str, region: Region | None, limit: int, rights: Rights = EVERYTHING
    ) -> list[str]:
        """Give identifiers, see `hips.live.selection.Searcher`; of a region its bounding circle."""
        where = f"({condition})"
        if region is not None:
            xyz, radius_deg = bounding_cap(region)
            centre = point_of(xyz)
            circle = f"{centre.ra_deg!r}, {centre.dec_deg!r}, {radius_deg!r}"
            where += f" AND 1 = INTERSECTS(CIRCLE({circle}), s_region)"
        query = f"SELECT obs_publisher_did FROM ivoa.obscore WHERE {where}"  # noqa: S608 - ADQL
        stream = self._runner.run(query, limit, "", rights=rights, had=True)
        return [did for batch in stream.batches for did in batch.column(0).to_pylist()]

    def values(
        self, dids: Sequence[str], names: Sequence[str]
    ) -> Mapping[str, Mapping[str, object]]:
        """Give values of columns that the site adds, see `datalink.makers.template.AddedValues`.

        Raises
        ------
        SkylaneError
            If the store does not answer.
        """
        there = {column.name for column in self._runner.published().beside.extra}
        wanted = [name for name in dict.fromkeys(names) if name in there]
        if not wanted or not dids:
            return {}
        query = (
            f"SELECT obs_publisher_did, {', '.join(wanted)} FROM ivoa.obscore"  # noqa: S608 - ADQL
            f" WHERE obs_publisher_did IN ({', '.join(map(text_literal, dids))})"
        )
        rows = self._runner.rows(query, len(dids))
        return {str(row["obs_publisher_did"]): row for row in rows}

    def close(self) -> None:
        """Release the connections."""
        self._runner.close()
