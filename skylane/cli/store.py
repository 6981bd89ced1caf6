"""``skylane store``: the catalogue's store."""
# ruff: noqa: FBT001, PLC0415 - flags are click's booleans; imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, console

__all__ = ["store_group"]


@click.group("store")
def store_group() -> None:
    """Look after the catalogue's store: SQLite, or PostgreSQL."""


@store_group.command("info")
@command
def store_info(site: Path) -> None:
    """Tell where the store lies, its layout and what it holds."""
    from skylane import stores

    stores.info(console, site)


@store_group.command("upgrade")
@command
def store_upgrade(site: Path) -> None:
    """Bring the store's layout up to date, with all that it holds.

    Ingesting and serving do so too; by this command it can be done at a time of one's choice.
    """
    from skylane import stores

    stores.upgrade(console, site)


@store_group.command("copy")
@click.option(
    "--to",
    "target",
    metavar="URL|FILE.db",
    required=True,
    help="postgresql://user@host/database, or a file of SQLite.",
)
@click.option("--schema", "schema_name", help="PostgreSQL's schema there.  [default: skylane]")
@click.option("--resume", is_flag=True, help="Go on with a copy that was interrupted.")
@command
def store_copy(target: str, schema_name: str | None, resume: bool, site: Path) -> None:
    """Copy the site's catalogue to another store, and see that all of it has arrived.

    The site goes on with its own store until its settings name the other.

    Example: skylane store copy --to postgresql://skylane@localhost/sky
    """
    from skylane import stores

    stores.copy(console, site, target, schema_name=schema_name, resume=resume)
