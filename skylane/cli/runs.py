"""``skylane runs`` and ``skylane where-from``."""
# ruff: noqa: FBT001, PLC0415 - flags are click's booleans; imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, console

__all__ = ["runs_group", "where_from"]


@click.group("runs", invoke_without_command=True)
@click.option("--most", type=click.IntRange(min=1), default=20, show_default=True)
@click.pass_context
@command
def runs_group(context: click.Context, most: int, site: Path) -> None:
    """List the latest runs of the assembly line."""
    if context.invoked_subcommand is None:
        from skylane.runs import show_runs

        show_runs(console, site, most)


@runs_group.command("show")
@click.argument("number", type=int)
@click.option("--mapping", is_flag=True, help="Also the settings in force, as JSON.")
@command
def runs_show(number: int, mapping: bool, site: Path) -> None:
    """Tell of one run.

    Example: skylane runs show 7 --mapping
    """
    from skylane.runs import show_run

    show_run(console, site, number, mapping=mapping)


@click.command("where-from")
@click.argument("did", metavar="ID")
@command
def where_from(did: str, site: Path) -> None:
    """Tell where a product's row comes from: its file, the run that wrote it, the mapping.

    Example: skylane where-from ivo://example/deep?a.fits
    """
    from skylane.runs import show_origin

    show_origin(console, site, did)
