"""``skylane hips cutout``: a HiPS on a grid of the sky, to a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hips.cutout.answer import CutoutAnswer, cut_hips
from hips.cutout.request import parse_cutout
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.errors import NotFoundError, UsageError
from vodal.params import Params

__all__ = ["cut"]


def cut(site: Path, hips: str, output: Path, options: Mapping[str, str | None]) -> CutoutAnswer:
    """Write a cutout of a HiPS.

    Parameters
    ----------
    site
        Whose HiPS are meant by their names.
    hips
        Name of one, or a folder that holds one.
    output
        File to write; what it ends in is the format, if none is given.
    options
        Values of the parameters by name; None for those that are not given.

    Raises
    ------
    NotFoundError
        If there is no such HiPS.
    """
    settings = load_settings(site)
    folder = next(
        (f for f in (SiteFolder(site).hips / hips, Path(hips)) if (f / "properties").is_file()),
        None,
    )
    if folder is None:
        raise NotFoundError(f"'{hips}' is neither a HiPS of the site nor a folder that holds one")
    asked = {"format": output.suffix[1:] or "fits"} | {
        name: value for name, value in options.items() if value is not None
    }
    answer = cut_hips(folder, parse_cutout(Params(asked.items()), settings.hips.max_cutout_pixels))
    try:
        output.write_bytes(answer.data)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from None
    return answer
