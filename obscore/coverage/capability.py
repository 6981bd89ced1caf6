"""Where coverage maps are, for the capabilities of the services of what they cover."""

from __future__ import annotations

from obscore.coverage.documents import FORMS
from vodal.vosi.capabilities import Capability, Interface

__all__ = ["coverage_capability"]


def coverage_capability(service_url: str) -> Capability:
    """Make the capability.

    Its standard is named as VODataService 1.2 names that of footprints; one without a name makes
    STILTS 3.4.7's taplint stop with an exception.

    Parameters
    ----------
    service_url
        Where maps are served, without a trailing slash.
    """
    interface = Interface(f"{service_url}/", role=None, result_type=FORMS[0].media_type)
    return Capability(
        "ivo://ivoa.net/std/moc",
        (interface,),
        description=(
            "Coverage map (IVOA MOC 2.0) of all images; that of one collection has the"
            " collection's name behind this address"
        ),
    )
