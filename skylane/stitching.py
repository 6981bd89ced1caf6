"""Images of files, of URLs and of the site stitched on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from obscore.assembly.opening import OpeningResolver
from skylane.cutting import named_file, write_cutout
from skylane.folder import SiteFolder
from skylane.settings import SiteSettings, load_settings
from soda.files import Files
from soda.finding import Finder
from soda.formats import format_of_file
from soda.skies import SkyCache
from soda.stitch.choose import choose
from soda.stitch.files import inputs_of_file
from soda.stitch.request import Rules, StitchInput, StitchParams, parse_stitch
from vodal.errors import UsageError
from vodal.params import Params
from vodal.products import Catalogue
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
        Files, URLs (http, https, s3) and products' identifiers, in any mixture; none where the
        parameters name a collection.
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
        inputs = _Inputs(site_path, settings, asked, stack).all()
        files = Files(SkyCache())
        stack.callback(files.close)
        made = files.stitch(inputs, asked.image, rules)
    if made is None:
        raise UsageError("no image has pixels in what was asked for")
    write_cutout(console, output, made.body)


class _Inputs:
    """Finds the images; the site's catalogue is opened only if it is needed."""

    def __init__(
        self, site_path: Path, settings: SiteSettings, asked: StitchParams, stack: ExitStack
    ) -> None:
        self._site_path, self._settings, self._asked = site_path, settings, asked
        self._stack = stack
        self._site: tuple[Finder, Catalogue] | None = None

    def all(self) -> list[StitchInput]:
        """Give the images, in the order in which they were named."""
        if self._asked.collection is not None:
            return self._of_site(self._asked)
        inputs: list[StitchInput] = []
        for image in self._asked.dids:
            file = named_file(self._settings, image, self._stack)
            if file is None:
                inputs += self._of_site(replace(self._asked, dids=(image,)))
            else:
                self._check_choice()
                inputs += inputs_of_file(*file)
        return inputs

    def _check_choice(self) -> None:
        selection = self._asked.image.selection
        if selection.band_m or selection.time_mjd or selection.pol:
            raise UsageError("BAND, TIME and POL choose among images of the site, not among files")

    def _of_site(self, asked: StitchParams) -> list[StitchInput]:
        if self._site is None:
            storage = Storage(self._settings.storage)
            self._stack.callback(storage.close)
            backend = SiteFolder(self._site_path).prepare(self._settings.store)
            resolver = self._stack.enter_context(closing(OpeningResolver(backend, storage)))
            catalogue = self._stack.enter_context(closing(backend.catalogue()))
            self._site = Finder(resolver, storage), catalogue
        return list(choose(asked, *self._site, self._settings.soda.max_stitched))
