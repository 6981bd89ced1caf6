"""What the cutout service says it can (SODA 1.0 section 2)."""

from __future__ import annotations

from soda.links import ASYNC_ID, STANDARD_ID
from vodal.vosi.capabilities import Capability, capability, vosi_capabilities

__all__ = ["soda_capabilities"]


def soda_capabilities(
    service: str, *, has_jobs: bool, has_catalogue: bool
) -> tuple[Capability, ...]:
    """Make the capabilities of the service.

    Parameters
    ----------
    service
        Where it is mounted, without a trailing slash.
    has_jobs
        Whether there is ``/async``.
    has_catalogue
        Whether there are ``/stitched`` and ``/examples``.
    """

    def cutting(standard_id: str | None, resource: str, version: str | None) -> Capability:
        return capability(
            standard_id,
            f"{service}/{resource}",
            role=None if standard_id is None else "std",
            query_types=("GET", "POST"),
            result_type="image/fits",
            version=version,
        )

    made = [*vosi_capabilities(service), cutting(STANDARD_ID, "sync", "1.0")]
    if has_jobs:
        made.append(cutting(ASYNC_ID, "async", "1.0"))
    if has_catalogue:
        made.append(cutting(None, "stitched", None))
        examples = f"{service}/examples"
        made.append(capability("ivo://ivoa.net/std/DALI#examples", examples, role=None))
    return tuple(made)
