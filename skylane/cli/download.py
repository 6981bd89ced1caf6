"""The command ``skylane download``."""
# ruff: noqa: PLC0415 - imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import console, keep_lines
from vodal.errors import SkylaneError

__all__ = ["download"]

_SOME_FAILED = 3


@click.command()
@click.argument("url")
@click.argument("dids", nargs=-1, metavar="[ID]...")
@click.option(
    "--table",
    "tables",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Table with a column of identifiers (obs_publisher_did, ID): VOTable, CSV, Parquet ...",
)
@click.option("--query", metavar="ADQL", help="Query that gives such a column.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="the current folder",
    help="Where the folder of files goes.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a bearer token, for what is not public.",
)
@keep_lines
def download(
    url: str,
    dids: tuple[str, ...],
    tables: tuple[Path, ...],
    query: str | None,
    folder: Path,
    token_file: Path | None,
) -> None:
    r"""Fetch files of a site, of this program, from anywhere.

    URL is that of the site: what stands before /tap. The files come as one stream, are written as
    they come, and are held against the checksums of its manifest. The same command again goes on
    where it stopped. It ends with 3 if there is no file for some of the identifiers.

    \b
    Examples: skylane download https://archive.example.org/sky --table rows.vot
              skylane download https://archive.example.org/sky -o data --query \
                "SELECT obs_publisher_did FROM ivoa.obscore WHERE filter = 'r'"
    """
    from skylane.downloading import download as fetch

    try:
        token = None if token_file is None else token_file.read_text("utf-8").strip()
        whole = fetch(
            console, url, dids, tables=tables, query=query, folder=folder, token=token or None
        )
    except SkylaneError as error:
        raise click.ClickException(str(error)) from None
    if not whole:
        raise SystemExit(_SOME_FAILED)
