"""Cutouts from files and of the site on the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

from rich.console import Console

from skylane.settings import SiteSettings, load_settings
from soda.cut import Cutout, cutout_file, file_source
from soda.files import Files
from soda.formats import format_of_file
from soda.params import CutoutParams, parse_params
from soda.skies import SkyCache
from soda.source import Source, source_of
from vodal.errors import NotFoundError, UsageError
from vodal.params import Params
from vodal.products import absent
from vodal.storage import LOCAL, Storage

__all__ = ["STDOUT", "cut", "cutout_parameters", "named_file", "write_cutout"]

STDOUT = Path("-")
"""Names standard output where a file is expected."""


def cutout_parameters(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Read parameters of the cutout service, each written ``NAME=VALUE``.

    Raises
    ------
    UsageError
        If one is not.
    """
    given = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--param takes NAME=VALUE, not '{text[:60]}'")
        given.append((name.strip(), value))
    return given


def cut(
    console: Console,
    site_path: Path,
    image: str,
    output: Path,
    given: Sequence[tuple[str, str]] = (),
) -> None:
    """Cut a piece out of a file, or out of a product of the site.

    Parameters
    ----------
    console
        For what is told.
    site_path
        The site's folder.
    image
        A file, a URL (http, https, s3) or a product's identifier.
    output
        What is written, ``-`` for standard output; without a parameter FORMAT its name tells the
        format.
    given
        The cutout service's parameters, as names and values.
    """
    asked = parse_params(Params([("ID", image), *given]), format_of_file(output.name))
    with console.status(f"Cutting {image}") if console.is_terminal else nullcontext():
        made = _cut(site_path, asked)
    if made is None:
        raise UsageError("nothing of the image is in what was asked for")
    write_cutout(console, output, made.body)


def write_cutout(console: Console, output: Path, body: bytearray | memoryview) -> None:
    """Write a file, or to standard output.

    Raises
    ------
    UsageError
        If that cannot be written.
    """
    if output == STDOUT:
        sys.stdout.buffer.write(body)
        return
    try:
        output.write_bytes(body)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from None
    console.print(f"Wrote {output}, {len(body)} bytes")


def _cut(site_path: Path, asked: CutoutParams) -> Cutout | None:
    """Make a cutout, or a picture of three datasets, each a file, a URL or a product."""
    settings = load_settings(site_path)
    with ExitStack() as stack:
        files = Files(SkyCache())
        stack.callback(files.close)
        if asked.output.color:
            sources = [_image_source(site_path, settings, did, stack) for did in asked.dids]
            return files.color(sources, asked.selection(), asked.output)
        did, selection = asked.single()
        file = named_file(settings, did, stack)
        if file is not None:
            return cutout_file(file[0], selection, output=asked.output, storage=file[1])
        return files.cut(_image_source(site_path, settings, did, stack), selection, asked.output)


def named_file(
    settings: SiteSettings, image: str, stack: ExitStack
) -> tuple[Path | str, Storage] | None:
    """Give a file and what opens it, if it is a file or a URL that is named.

    Parameters
    ----------
    settings
        Of the site; they tell how URLs are read.
    image
        As typed.
    stack
        Closes what opens the file.

    Raises
    ------
    NotFoundError
        If a file is named that is not there.
    """
    if Path(image).is_file():
        return Path(image), LOCAL
    if image.partition("://")[0].lower() in {"http", "https", "s3", "file"}:
        # Who types a URL means it: it needs no leave of the settings.
        storage = Storage(settings.storage.with_place(image))
        stack.callback(storage.close)
        return image, storage
    if Path(image).suffix and not image.startswith("ivo:"):
        raise NotFoundError(f"there is no file '{image}'")
    return None


def _image_source(site_path: Path, settings: SiteSettings, image: str, stack: ExitStack) -> Source:
    """Find what to cut from: a file, else a product of the site."""
    file = named_file(settings, image, stack)
    if file is not None:
        return file_source(*file)
    # Only a product of the site needs its catalogue.
    from obscore.assembly.opening import OpeningResolver  # noqa: PLC0415
    from skylane.folder import SiteFolder  # noqa: PLC0415

    storage = Storage(settings.storage)
    stack.callback(storage.close)
    resolver = OpeningResolver(SiteFolder(site_path).prepare(settings.store), storage)
    try:
        product = resolver.resolve([image]).get(image)
        if product is None:
            raise absent(resolver, image, f"there is no file and no product '{image}'")
        product = resolver.ready(product)
        return source_of(product, resolver.index(product), storage)
    finally:
        resolver.close()
