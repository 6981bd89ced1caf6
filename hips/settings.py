"""What can be set about HiPS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator

from hips.choice import ChannelChoice
from hips.color.settings import ColorSettings, checked_names
from hips.live.settings import LiveSettings
from vodal.errors import UsageError
from vodal.fits.calibration import MASK_NAMES, ZERO_POINT_KEYWORDS
from vodal.settings import Settings

__all__ = ["Conserved", "HipsSettings"]

Conserved = Literal["brightness", "flux"]
"""What is kept when pixels of one size are brought to another."""


class HipsSettings(Settings):
    """How HiPS are made and served."""

    frame: Literal["equatorial", "galactic"] = "equatorial"
    """Frame of the cells that tiles are: ``equatorial`` is ICRS."""
    order: int | None = Field(default=None, ge=3, le=20)
    """Deepest order of the tiles. By default the first whose pixel is smaller than the median
    pixel of the images, as HiPS 1.0 recommends; 3 at least, since clients expect that order."""
    order_tolerance: float = Field(default=0.0, ge=0.0, lt=1.0)
    """By which fraction a HiPS pixel may be larger than the images' pixel and still count as
    smaller. 0.01 saves three quarters of the work for pixels of 0.2 or 0.4 arcsec, which are just
    under those of an order."""
    kernel: Literal["bilinear", "lanczos3"] = "bilinear"
    """How images are sampled. ``lanczos3`` keeps the width of point sources (bilinear widens
    them by about 3 %), takes about four times as long to sample, and falls back to bilinear next
    to blank pixels."""
    conserve: Conserved = "brightness"
    """What is kept of an image's values. ``brightness``: the surface brightness; a value comes out
    as it was, and refers to a pixel of the images' size. ``flux``: the total flux; each value of
    the deepest tiles is the flux of that tile pixel, the image's value times the ratio of the
    tile pixel's solid angle to that of the image's own pixel there, distortion included."""
    coadd: Literal["mean", "median", "first"] = "mean"
    """What becomes of pixels that several images give. ``mean`` is weighted (``weights``).
    ``median`` is not: each image counts once. ``first`` takes the image that was observed last
    (``t_min``; those without come after all others, and the identifier decides between equals)
    and has a value there, so that one exposure is seen at a time."""
    weights: Literal["uniform", "exposure", "variance", "feather"] = "exposure"
    """Weight of overlapping images in the mean. ``uniform``: all alike. ``exposure``: by exposure
    time; where one image has none, all count alike. ``variance``: each pixel by the inverse of its
    variance, from the plane of variances, standard deviations or weights that goes with the image;
    an image without counts by the noise of its own pixels. ``feather``: less towards the edges of
    each image, so that no seam is seen where it ends."""
    feather: float = Field(default=0.1, gt=0.0, le=0.5)
    """Fraction of an image's shorter side within which weights rise from 0 to 1, with
    ``weights = "feather"``."""
    background: Literal["none", "median", "match"] = "none"
    """``median`` subtracts from each image its own sky level (a robust median). That evens out
    exposures whose sky was not subtracted; it takes away real light where an object fills a whole
    image, so it is off by default. ``match`` subtracts from each image a constant or a plane such
    that overlapping images agree; the mean of all stays as it is. It needs SciPy
    (``skylane[match]``)."""
    photometry: bool = True
    """Bring the images of a band to one zero point, where all of them have one."""
    zero_point_mag: float = 25.0
    """The common zero point: the magnitude of a total of one in the tiles' unit."""
    zero_point_keywords: tuple[str, ...] = ZERO_POINT_KEYWORDS
    """Header keywords of an image's zero point in magnitudes, the first found counts;
    ``FLUXMAG0`` (flux at magnitude 0) is known besides."""
    mask_names: tuple[str, ...] = MASK_NAMES
    """Names of mask bits (``MP_<name>`` cards of the mask plane) whose pixels are not used.
    Saturated pixels are: without them the hearts of bright stars would be holes."""
    mask_bits: tuple[int, ...] | None = None
    """Numbers of the mask bits (0 is the lowest) whose pixels are not used, in place of the
    names; for masks whose bits the header does not name. Empty to use every pixel."""
    cubes: Literal["channels", "mean", "skip"] = "channels"
    """What becomes of cubes: ``channels`` makes a HiPS of each channel and polarization state,
    ``mean`` one of the mean of the channels that are chosen, ``skip`` leaves cubes out."""
    channels: dict[str, str] = Field(default_factory=dict)
    """Which channels of a collection's cubes become HiPS, by the collection's name: numbers and
    ranges (``"1,10:20"``, the ends belong to a range), ``"all"`` or ``"none"``. By default all, if
    there are no more than `max_channels`."""
    max_channels: int = Field(default=64, ge=1)
    """Most planes (channels times polarization states) of a collection's cubes of one band that
    become HiPS without being chosen by `channels`; of more, none does."""
    storage: Literal["tree", "packed"] = "tree"
    """How tiles are kept: ``tree`` as files, in the places that clients see; ``packed`` in ZIP
    files of some hundred tiles each, from which the server reads: for millions of tiles."""
    order_shard: int = Field(default=3, ge=1, le=6)
    """Size of one unit of work: ``4 ** order_shard`` deepest tiles."""
    cache_mb: int = Field(default=768, ge=16)
    """How much of decoded images each worker process maps at a time. They lie in `scratch`; the
    memory that the system holds them in is shared by the workers."""
    scratch: Path | None = None
    """Folder for decoded images while a HiPS is made; by default beside the HiPS. Needs room
    for the images in work at one time, 4 bytes a pixel."""
    copyright: str = ""
    """``obs_copyright`` of the properties."""
    copyright_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """``obs_copyright_url``: where more is said of it."""
    acknowledgment: str = ""
    """``obs_ack``: how those who use the images are asked to acknowledge them."""
    status: Literal["public", "private"] = "public"
    """First word of ``hips_status``."""
    creator: str = ""
    """``hips_creator``: institute or person who made the HiPS. By default the makers of the images,
    as far as they are known, else the authority of the HiPS's identifier."""
    formats: tuple[Literal["fits", "png", "jpeg", "webp"], ...] = ("png", "fits")
    """Formats of the tiles; the first is the one that clients take by default. FITS tiles have to
    be among them, as the coarser orders, the colours and later builds are made of them. A HiPS in
    colour has those that are pictures, or PNG if there are none. JPEG shows blank pixels black."""
    jpeg_quality: int = Field(default=90, ge=1, le=100)
    """Of JPEG tiles and of the preview."""
    webp_quality: Annotated[int, Field(ge=1, le=100)] | Literal["lossless"] = 90
    """Of WebP tiles; ``"lossless"`` keeps every grey level and takes more than ten times as long
    to write."""

    @field_validator("formats")
    @classmethod
    def _with_fits(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if "fits" not in formats:
            raise ValueError(
                "has to hold 'fits': colours and coarser orders are made of FITS tiles"
            )
        if len(set(formats)) < len(formats):
            raise ValueError("names a format twice")
        return formats

    color: dict[str, ColorSettings] = Field(default_factory=dict)
    """HiPS in colour, by name. A collection for which none is set has one, ``<collection>-color``,
    of three of its bands."""

    @field_validator("color")
    @classmethod
    def _named(cls, color: dict[str, ColorSettings]) -> dict[str, ColorSettings]:
        return checked_names(color)

    @field_validator("channels")
    @classmethod
    def _can_be_read(cls, channels: dict[str, str]) -> dict[str, str]:
        for name, text in channels.items():
            try:
                ChannelChoice.parse(text, name)
            except UsageError as error:
                raise ValueError(error.message) from None
        return channels

    aladin_lite_url: str = "/portal/vendor/aladin.js"
    """Where a HiPS's own page finds Aladin Lite (the ES module), as a path of the site."""
    remote: dict[str, str] = Field(default_factory=dict)
    """HiPS that lie elsewhere and are served as if they lay here: a name and the URI of the folder
    (``s3://bucket/hips/demo-g``, ``https://sky.example.org/hips/demo-g``), as a tree or in packs.
    ``[storage]`` has to let the bucket or the host be read."""
    keep_versions: int = Field(default=0, ge=0)
    """How many earlier versions of a HiPS are kept and served below its name and release date:
    ``/hips/demo-g@2026-01-31T04:05Z/``."""
    max_cutout_pixels: int = Field(default=1 << 24, ge=1)
    """Most pixels (columns times rows) of a cutout of a HiPS."""
    tile_max_age_s: int = Field(default=3600, ge=0)
    """How long clients and proxies may keep a tile without asking again."""
    live: LiveSettings = LiveSettings()

    def with_channels(self, collection: str, text: str) -> Self:
        """Give the same settings with other channels of a collection's cubes."""
        return self.model_copy(update={"channels": {**self.channels, collection: text}})
