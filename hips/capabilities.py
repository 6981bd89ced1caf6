"""What the HiPS server says it can, for registries (HiPS 1.0 section 5.2)."""

from __future__ import annotations

from vodal.vosi.capabilities import Capability, capability

__all__ = ["hips_capabilities"]


def hips_capabilities(service_url: str) -> tuple[Capability, ...]:
    """Make the capabilities of the server.

    Parameters
    ----------
    service_url
        Where it is mounted, without a trailing slash.
    """
    return (
        capability(
            "ivo://ivoa.net/std/hips#hipslist-1.0",
            f"{service_url}/list",
            version="1.0",
            result_type="text/plain",
        ),
    )
