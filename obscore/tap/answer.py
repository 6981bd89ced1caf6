"""A result as the document that a request asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from obscore.tap.request import QueryRequest
from vodal.links import Annotator, ServiceDescriptor
from vodal.tables.columns import ResultStream

__all__ = ["write_answer"]

_LONGEST_ECHO = 10_000
"""Characters of a query that are repeated in its answer."""


def write_answer(
    result: ResultStream,
    asked: QueryRequest,
    annotators: Sequence[Annotator],
    base_url: str,
    further: Sequence[ServiceDescriptor] = (),
) -> Iterator[bytes]:
    """Give the document piece by piece.

    Parameters
    ----------
    result
        Of the query.
    asked
        The query and the format.
    annotators
        Make the service descriptors that go with the result.
    base_url
        Where the site is seen by the client, without a trailing slash.
    further
        Descriptors that go with it whatever its columns.
    """
    resources = [
        *further,
        *(
            service
            for annotator in annotators
            for service in annotator.descriptors(result.columns, base_url)
        ),
    ]
    infos = [("QUERY", asked.query)] if len(asked.query) <= _LONGEST_ECHO else []
    return asked.format.write(result, resources=resources, infos=infos)
