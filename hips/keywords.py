"""The keywords of a HiPS's properties (HiPS 1.0 section 4.4.1), the same of built and live ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hips.frames import Frame
from hips.names import TILE_WIDTH, pixel_size_arcsec
from hips.properties import Provenance, creator_of, minute, publisher_of
from hips.settings import HipsSettings
from hips.view import View

__all__ = ["BandValues", "Survey", "keywords_of"]

_VERSION = "1.4"
_BUILDER = "Skylane"
_SKY = {"none": "none", "median": "hips_estimation", "match": "hips_estimation"}
"""By ``hips.background``, the words of ``hips_skyval``."""


@dataclass(frozen=True, slots=True)
class BandValues:
    """What the values of a band's tiles are."""

    image_arcsec: float
    """Side of the images' pixels."""
    cuts: tuple[float, float]
    """Black and white of grey pictures."""
    data_range: tuple[float, float] | None
    """Lowest and highest of the values that the cuts were chosen from."""
    zero_point_mag: float | None
    """That they were brought to; None if they are as they were."""
    unit: str
    """Of the images, empty if they differ."""

    def keywords(self, settings: HipsSettings) -> dict[str, object]:
        """Give the keywords of the values, and of how they were made."""
        span = self.data_range
        return {
            "hips_pixel_bitpix": -32,
            # Of a common zero point, values have another unit than the images had.
            "hips_bunit": self.unit if self.zero_point_mag is None else None,
            "hips_pixel_cut": f"{self.cuts[0]:.6g} {self.cuts[1]:.6g}",
            "hips_data_range": None if span is None else f"{span[0]:.6g} {span[1]:.6g}",
            "hips_sampling": settings.kernel,
            "hips_overlay": settings.coadd,
            "hips_skyval": _SKY[settings.background],
            "hips_hierarchy": "mean",
            "s_pixel_scale": f"{self.image_arcsec / 3600.0:.6g}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is said of a HiPS by who makes it."""

    creator_did: str
    """IVOID."""
    title: str
    text: str
    """A paragraph."""
    collection: str
    formats: tuple[str, ...]
    """Of the tiles; the first is what clients take by default."""
    provenance: Provenance
    made: datetime
    """When a HiPS of this name was first made."""
    released: datetime
    """When its tiles last changed; by it clients drop what they cached."""
    order: int | None
    """Of the deepest tiles; None where it is not known yet."""
    clonable: bool = True
    """Whether others may copy it as a whole."""
    frame: Frame = "equatorial"
    """Of the cells."""
    extra: Mapping[str, object]
    """Keywords of this kind of HiPS."""


def keywords_of(
    about: Survey, view: View, sky_fraction: float, settings: HipsSettings
) -> dict[str, object]:
    """Give keywords and values of a HiPS of images, in the order in which they are written.

    Parameters
    ----------
    about
        What is said.
    view
        Where to look first.
    sky_fraction
        That its MOC covers.
    settings
        Of all HiPS of the site.
    """
    copying = "clonable" if about.clonable else "unclonable"
    creator = settings.creator or creator_of(about.creator_did, about.provenance.creators)
    size = None if about.order is None else f"{pixel_size_arcsec(about.order) / 3600.0:.6g}"
    return {
        "creator_did": about.creator_did,
        "publisher_id": publisher_of(about.creator_did),
        "hips_creator": creator,
        "obs_title": about.title,
        "obs_collection": about.collection,
        "obs_description": about.text,
        "obs_ack": settings.acknowledgment,
        "obs_copyright": settings.copyright,
        "obs_copyright_url": settings.copyright_url,
        **about.provenance.keywords(),
        "dataproduct_type": "image",
        "hips_version": _VERSION,
        "hips_builder": _BUILDER,
        "hips_creation_date": minute(about.made),
        "hips_release_date": minute(about.released),
        "hips_status": f"{settings.status} master {copying}",
        "hips_tile_format": " ".join(about.formats),
        "hips_order": about.order,
        "hips_order_min": 0,
        "hips_tile_width": TILE_WIDTH,
        "hips_frame": about.frame,
        "hips_pixel_scale": size,
        "hips_initial_ra": f"{view.ra_deg:.6f}",
        "hips_initial_dec": f"{view.dec_deg:.6f}",
        "hips_initial_fov": f"{view.fov_deg:.6g}",
        "moc_sky_fraction": f"{sky_fraction:.6g}",
        **about.extra,
    }
