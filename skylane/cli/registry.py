"""The command ``registry``."""
# ruff: noqa: PLC0415 - imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, notices

__all__ = ["registry"]


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@command
def registry(folder: Path, site: Path) -> None:
    """Write the site's records for the VO Registry into a folder, a file each.

    They are those that the site serves at /registry, to be handed in where the site itself is not
    harvested.

    Example: skylane registry records
    """
    from skylane.registry.files import write_records

    write_records(notices, site, folder)
