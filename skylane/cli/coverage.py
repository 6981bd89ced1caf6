"""The command ``moc``."""
# ruff: noqa: PLC0415 - imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, notices

__all__ = ["moc"]


@click.command()
@click.argument("collection", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    required=True,
    help="File to write; its ending (.fits, .json, .txt) chooses the form. '-' is standard output.",
)
@click.option(
    "-f", "--format", "form", metavar="FORMAT", help="fits, json or ascii, whatever the ending."
)
@click.option(
    "--order",
    type=click.IntRange(0, 18),
    help="HEALPix order of the smallest cells.  [default: settings]",
)
@command
def moc(
    collection: str | None, output: Path, form: str | None, order: int | None, site: Path
) -> None:
    """Write the coverage map (MOC 2.0) of a collection, or of all.

    Example: skylane moc survey -o survey.fits
    """
    from skylane.coverage import write_map

    write_map(notices, site, collection, output, form, order)
