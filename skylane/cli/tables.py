"""``skylane table``: tables that a site publishes beside its images."""
# ruff: noqa: PLC0415 - flags are click's booleans; imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, console

__all__ = ["table_group"]


@click.group("table")
def table_group() -> None:
    """Publish tables of your own beside ivoa.obscore."""


@table_group.command("declare")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", metavar="SCHEMA.TABLE", help="Its name.  [default: site.<the file's name>]")
@command
def table_declare(file: Path, name: str | None, site: Path) -> None:
    """Write a declaration for a file of data: its columns, types, units and UCDs.

    The file is a VOTable, CSV, TSV, ECSV, FITS or Parquet, plain or gzipped. What is written is
    Felis YAML (https://felis.lsst.io), to be looked through and completed.

    Example: skylane table declare stars.vot --name cat.stars > stars.yaml
    """
    from skylane import tables

    text, notes = tables.declare(site, file, name)
    click.echo(text, nl=False)
    for note in notes:
        click.echo(f"note: {note}", err=True)


@table_group.command("publish")
@click.argument("declaration", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    metavar="FILE|TABLE=FILE",
    multiple=True,
    help="File with the rows; for a declaration of several tables as TABLE=FILE, again and again.",
)
@command
def table_publish(declaration: Path, data: tuple[str, ...], site: Path) -> None:
    r"""Publish the tables of a declaration, with their rows.

    A table of the same name is replaced: readers see the old one or the new one. Without --data it
    keeps its rows, if only descriptions, units and the like have changed; a new one is empty.

    \b
    Example: skylane table publish stars.yaml --data stars.vot
             skylane table publish cat.yaml --data stars=stars.csv --data spectra=spectra.parquet
    """
    from skylane import tables

    tables.publish(console, site, declaration, data)


@table_group.command("load")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@command
def table_load(name: str, file: Path, site: Path) -> None:
    """Put the rows of a file in the place of those of a published table.

    Example: skylane table load cat.stars stars.parquet
    """
    from skylane import tables

    tables.load(console, site, name, file)


@table_group.command("list")
@command
def table_list(site: Path) -> None:
    """List the published tables with the number of their rows."""
    from skylane import tables

    tables.list_tables(console, site)


@table_group.command("drop")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@command
def table_drop(names: tuple[str, ...], site: Path) -> None:
    """Remove published tables with their rows.

    Example: skylane table drop cat.stars
    """
    from skylane import tables

    tables.drop(console, site, names)


@table_group.command("export")
@click.argument("name", required=False)
@command
def table_export(name: str | None, site: Path) -> None:
    """Write the declaration of a published schema or table, or of ivoa.obscore, as Felis YAML.

    Example: skylane table export cat > cat.yaml
    """
    from skylane import tables

    click.echo(tables.export(site, name), nl=False)
