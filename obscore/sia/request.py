"""A request as a query."""

from __future__ import annotations

from obscore.sia.constraints import condition
from obscore.sia.parameters import PARAMETERS, TYPES
from obscore.tap.request import QueryRequest
from obscore.tap.settings import TapSettings
from vodal.errors import UsageError
from vodal.params import Params
from vodal.tables.formats import DEFAULT
from vodal.tables.negotiation import negotiate

__all__ = ["read_request"]


def read_request(params: Params, settings: TapSettings, accept: str | None = None) -> QueryRequest:
    """Read the parameters of ``/sia2/query``; unknown ones are passed over.

    Parameters
    ----------
    params
        As they were sent.
    settings
        Limits.
    accept
        The request's Accept header, for a request without RESPONSEFORMAT.

    Raises
    ------
    UsageError
        If one is wrong.
    """
    if params.all("UPLOAD"):
        raise UsageError("SIA 2.0 takes no UPLOAD; give a parameter several times, or use /tap")
    kinds = ", ".join(f"'{kind}'" for kind in TYPES)
    conditions = [f"dataproduct_type IN ({kinds})"]
    for parameter in PARAMETERS:
        values = params.all(parameter.name)
        if values:
            conditions.append(condition(parameter, values))
    wanted = params.integer("MAXREC", settings.default_rows)
    assert wanted is not None
    # FORMAT is a constraint here, not TAP's old name of RESPONSEFORMAT.
    formats = Params(("RESPONSEFORMAT", value) for value in params.all("RESPONSEFORMAT"))
    query = "SELECT * FROM ivoa.obscore WHERE " + " AND ".join(conditions)  # noqa: S608 - ADQL
    return QueryRequest(
        query, min(wanted, settings.max_rows), negotiate(formats, DEFAULT, accept=accept)
    )
