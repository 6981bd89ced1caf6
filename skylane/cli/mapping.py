"""``skylane mapping``: presets and mappings in files."""
# ruff: noqa: PLC0415 - imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, console

__all__ = ["mapping_group"]


@click.group("mapping")
def mapping_group() -> None:
    """Look at the mapping of headers to columns: presets, and files of your own."""


@mapping_group.command("presets")
def mapping_presets() -> None:
    """List the mappings of instruments that a collection may name as preset."""
    from skylane import mappings

    mappings.list_presets(console)


@mapping_group.command("show")
@click.argument("name")
@command
def mapping_show(name: str, site: Path) -> None:  # noqa: ARG001 - all commands have it
    """Print a preset, to be copied and changed.

    Example: skylane mapping show decam > /data/night42/skylane-mapping.toml
    """
    from skylane import mappings

    click.echo(mappings.show(name), nl=False)


@mapping_group.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@command
def mapping_check(files: tuple[Path, ...], site: Path) -> None:
    """Check mapping files, and tell what they set; without any, those of the site's collections.

    Example: skylane mapping check /data/night42/skylane-mapping.toml
    """
    from skylane import mappings

    mappings.check(console, site, files)
