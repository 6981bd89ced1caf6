"""``skylane hips``: HiPS made, looked after, published and cut."""
# ruff: noqa: FBT001, PLC0415 - flags are click's booleans; imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, console, keep_lines
from vodal.errors import SkylaneError

__all__ = ["hips_group"]


@click.group("hips")
def hips_group() -> None:
    """Build, check, list, copy and remove HiPS."""


@hips_group.command("build")
@click.argument("collection", required=False)
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: all cores]")
@click.option(
    "--fresh", is_flag=True, help="Choose depth, scale and grey levels anew, and make every tile."
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Make only the I-th of N shares of the tiles; the "
    "same command without it completes the HiPS.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS|FILE",
    help="Work on the Dask cluster of this scheduler (tcp://host:8786, or its scheduler file).",
)
@click.option(
    "--channels",
    metavar="LIST",
    help="Which channels of cubes become HiPS: 1,10:20, or all, or none.  "
    "[default: hips.channels, or all if they are few]",
)
@command
def hips_build(
    collection: str | None,
    workers: int | None,
    fresh: bool,
    shard: str | None,
    scheduler: str | None,
    channels: str | None,
    site: Path,
) -> None:
    r"""Build the HiPS of a collection (or of all): one a band, and one in colour.

    Of cubes, one a channel. Tiles whose images have not changed are kept, and a build that was
    stopped goes on.

    \b
    Example: skylane hips build demo
             skylane hips build maps --channels 10:20
    """
    from skylane.building import build_hips

    build_hips(
        console, site, collection, workers, fresh=fresh, shard=shard, scheduler=scheduler,
        channels=channels,
    )  # fmt: skip


@hips_group.command("list")
@command
def hips_list(site: Path) -> None:
    """List the HiPS of the site, their earlier releases, and those it shows from elsewhere."""
    from skylane import hips_places

    hips_places.list_all(console, site)


@hips_group.command("remove")
@click.argument("name", metavar="NAME[@RELEASE]")
@command
def hips_remove(name: str, site: Path) -> None:
    """Remove a HiPS with its earlier releases, or a single earlier release.

    Example: skylane hips remove demo-g
    """
    from skylane import hips_places

    hips_places.remove(console, site, name)


@hips_group.command("export")
@click.argument("name")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@command
def hips_export(name: str, folder: Path, site: Path) -> None:
    """Copy a HiPS, packed or not, as a plain tree of files that any web server can serve.

    Example: skylane hips export demo-g /var/www/demo-g
    """
    from skylane import hips_places

    hips_places.export(console, site, name, folder)


@hips_group.command("publish")
@click.argument("name")
@click.argument("uri", metavar="s3://BUCKET/PREFIX")
@command
def hips_publish(name: str, uri: str, site: Path) -> None:
    """Bring the copy of a HiPS in an object store up to date: what has changed, properties last.

    Example: skylane hips publish demo-g s3://survey/hips/demo-g
    """
    from skylane import hips_places

    hips_places.publish(console, site, name, uri)


@hips_group.command("check")
@click.argument("where", metavar="DIR|URL")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="Deepest tiles of each format that are looked at, with all above them; 0 is all.  "
    "[default: 100 of a folder, 10 of a server]",
)
@click.option("--list", "is_list", is_flag=True, help="Check a node's list of HiPS (file or URL).")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_context
@keep_lines
def hips_check(
    context: click.Context,
    where: str,
    limit: int | None,
    *,
    is_list: bool,
    strict: bool,
    as_json: bool,
) -> None:
    r"""Check a HiPS against HiPS 1.0, clause by clause, and its pixels; any maker's.

    Each finding has a level, the section of the standard, where it is and what is wrong. The exit
    code is 1 if there is an error, 2 if the HiPS cannot be looked at.

    \b
    Example: skylane hips check hips/demo-r
             skylane hips check --limit 50 https://example.org/hips/survey
    """
    from skylane import hips_check

    try:
        code = hips_check.check(where, limit=limit, is_list=is_list, strict=strict, as_json=as_json)
    except SkylaneError as fault:
        click.echo(f"Error: {fault}", err=True)
        code = 2
    context.exit(code)


@hips_group.command("cutout")
@click.argument("hips")
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--ra", help="ICRS, of the middle, degrees.  [default: that of the first view]")
@click.option("--dec", help="The same, declination.")
@click.option("--fov", help="Width of the longer side, degrees.")
@click.option("--width", help="Columns.  [default: 512]")
@click.option("--height", help="Rows.  [default: 512]")
@click.option("--projection", help="TAN, SIN, CAR, AIT ...  [default: TAN]")
@click.option("--rotation-angle", help="Position angle of up, degrees from north through east.")
@click.option("--coordsys", help="icrs or galactic.  [default: icrs]")
@click.option("--format", "format_", help="fits, png, jpg or webp.  [default: what OUTPUT ends in]")
@click.option("--min-cut", help="Value or percentile (0.5%) that is black in pictures.")
@click.option("--max-cut", help="Value or percentile (99.5%) that is white.")
@click.option("--stretch", help="linear, sqrt, log or asinh.  [default: linear]")
@click.option("--cmap", help="gray, viridis ...  [default: gray]")
@command
def hips_cutout(
    hips: str, output: Path, format_: str | None, site: Path, **options: str | None
) -> None:
    """Write a part of a HiPS (a name, or a folder) on a grid of the sky.

    Example: skylane hips cutout demo-r m51.png --ra 202.47 --dec 47.2 --fov 0.2
    """
    from skylane import hips_cutout as cutouts

    if cutouts.cut(site, hips, output, {**options, "format": format_}).blank:
        console.print("note: the HiPS holds nothing there", style="yellow")
