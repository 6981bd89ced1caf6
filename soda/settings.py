"""Settings of the cutout service."""

from __future__ import annotations

from pydantic import Field

from vodal.fits.calibration import MASK_NAMES, ZERO_POINT_KEYWORDS
from vodal.settings import Settings
from vodal.uploads.settings import UploadSettings

__all__ = ["SodaSettings"]


class SodaSettings(Settings):
    """The cutout service and its worker processes."""

    workers: int = Field(default=2, ge=1, le=1024)
    """Processes that cut, for each server process. One a core is right; each takes about 150 MB."""
    deadline_s: float = Field(default=60.0, gt=0.0)
    """Seconds that a cutout may take, waiting included. Whole images from slow disks take long."""
    memory_limit_bytes: int = Field(default=4 << 30, ge=1 << 28)
    """Writable memory of each worker, its libraries included. A cutout takes up to about three
    times its size; 4 GiB serves the default of max_output_bytes. What is given as it is stored is
    written to memory that workers and server share, which does not count here; of that, 64 MiB
    stay for each worker and for two more."""
    max_queue: int = Field(default=64, ge=0)
    """Requests that may wait for a worker; one more is told to come back later (503)."""
    max_output_bytes: int = Field(default=1 << 30, ge=2880)
    """Largest cutout that is made; a request for more is refused before anything is read."""
    max_unsent_bytes: int = Field(default=4 << 30, ge=0)
    """Cutouts that are made and that their clients have not taken yet, in each server process;
    while it is more, requests are told to come back later (503)."""
    max_picture_side: int = Field(default=4096, ge=16, le=16000)
    """Longest side of pictures in pixels; larger images are shown at a lower resolution."""
    max_jobs: int = Field(default=10_000, ge=1)
    """A worker is replaced after about as many cutouts, so that no leak of a library can grow."""
    max_combinations: int = Field(default=1000, ge=1)
    """Cutouts that one request may ask for by several values of its parameters."""
    max_cutouts: int = Field(default=200_000, ge=1)
    """Cutouts of one job that puts them into an archive."""
    job_limit_s: int = Field(default=14_400, ge=1)
    """Seconds that a job may run, unless it asks for more or less."""
    job_max_limit_s: int = Field(default=172_800, ge=1)
    """Seconds that a job can ask for."""
    job_concurrency: int = Field(default=3, ge=1)
    """Jobs of cutouts that one server process runs at once, of the ``jobs.concurrency`` of all
    services. Less than that leaves places to queries, however many cutouts wait."""
    uploads: UploadSettings = UploadSettings()
    max_streams: int = Field(default=4, ge=1)
    """Answers with several cutouts (MULTI) that one server process makes at once; one more is told
    to come back later (503). Requests for one cutout go before them all the same."""
    max_stitched: int = Field(default=100, ge=1)
    """Images that one stitched image may be made of."""
    mask_names: tuple[str, ...] = MASK_NAMES
    """Names of mask bits (``MP_<name>`` cards of the mask plane) whose pixels are not stitched."""
    zero_point_keywords: tuple[str, ...] = ZERO_POINT_KEYWORDS
    """Header keywords of an image's zero point in magnitudes, by which stitched images are brought
    to one scale; the first found counts, and ``FLUXMAG0`` is known besides."""
