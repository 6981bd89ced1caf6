"""Images of files and of the site stitched on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from skylane.cutting import write_cutout
from skylane.settings import load_settings
from skylane.site import SiteFolder
from soda.finding import Finder
from soda.formats import format_of_file
from soda.stitch.choose import choose
from soda.stitch.files import inputs_of_file
from soda.stitch.make import stitch
from soda.stitch.request import Rules, StitchInput, StitchParams, parse_stitch
from vodal.errors import UsageError
from vodal.params import Params
from vodal.storage import Storage

__all__ = ["stitch_images"]


def stitch_images(
    console: Console,
    site_path: Path,
    images: Sequence[str],
    output: Path,
    given: Sequence[tuple[str, str]] = (),
) -> None:
    """Make one image of files, of products of the site, or of those of a collection.

    Parameters
    ----------
    console
        For what is told.
    site_path
        The site's folder.
    images
        Files and products' identifiers; none where the parameters name a collection.
    output
        What is written, ``-`` for standard output; without a parameter FORMAT its name tells the
        format.
    given
        Parameters of ``/stitched``, as names and values.

    Raises
    ------
    UsageError
        If the parameters cannot be followed, or no image has pixels there.
    """
    params = Params([*(("ID", image) for image in images), *given])
    asked = parse_stitch(params, format_of_file(output.name))
    settings = load_settings(site_path)
    rules = Rules(settings.soda.mask_names, settings.soda.zero_point_keywords)
    with ExitStack() as stack:
        if asked.dids and all(Path(image).is_file() for image in asked.dids):
            inputs = [one for image in asked.dids for one in _of_file(image, asked)]
        else:
            inputs = _of_site(site_path, asked, stack)
        made = stitch(inputs, asked.image, rules=rules)
    if made is None:
        raise UsageError("no image has pixels in what was asked for")
    write_cutout(console, output, made.body)


def _of_file(image: str, asked: StitchParams) -> list[StitchInput]:
    selection = asked.image.selection
    if selection.band_m or selection.time_mjd or selection.pol:
        raise UsageError("BAND, TIME and POL choose among images of the site, not among files")
    return inputs_of_file(Path(image))


def _of_site(site_path: Path, asked: StitchParams, stack: ExitStack) -> list[StitchInput]:
    settings = load_settings(site_path)
    storage = Storage(settings.storage)
    stack.callback(storage.close)
    backend = SiteFolder(site_path).prepare(settings.store)
    resolver = stack.enter_context(closing(backend.resolver()))
    catalogue = stack.enter_context(closing(backend.catalogue()))
    finder, most = Finder(resolver, storage), settings.soda.max_stitched
    if asked.collection is not None:
        return list(choose(asked, finder, catalogue, most))
    inputs: list[StitchInput] = []
    for image in asked.dids:
        if Path(image).is_file():
            inputs += _of_file(image, asked)
        else:
            inputs += choose(replace(asked, dids=(image,)), finder, catalogue, most)
    return inputs
