"""The ``skylane`` command: its commands and options.

What they do is in `skylane.commands` and in the module of each larger one: `cutting`, `query` ...

The modules that do the work are imported by the command that needs them, so that ``--help`` and a
mistyped option answer at once.
"""
# ruff: noqa: FBT001, PLC0415 - flags are click's booleans; imports are late on purpose

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from rich.console import Console

from vodal.errors import SkylaneError

__all__ = ["main"]

P = ParamSpec("P")
R = TypeVar("R")

console = Console(highlight=False)
notices = Console(highlight=False, stderr=True)


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command its ``--site`` option and tell errors as one sentence."""

    @click.option(
        "--site",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        show_default="the current folder",
        help="Folder of the site: its skylane.toml and, with the embedded store, its data.",
    )
    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except SkylaneError as error:
            raise click.ClickException(str(error)) from None

    return wrapped


_SOME_FAILED = 3
"""Exit code of a command that did a part: 1 is for nothing, 2 for what is not understood."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skylane")
def main() -> None:
    """From the images a telescope's pipeline writes to ObsTAP, DataLink, SODA and HiPS."""


@main.command()
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Folder of FITS files to show, instead of a synthetic survey.",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on.  [default: 8080]")
@click.option("--no-serve", is_flag=True, help="Prepare everything, then stop.")
@command
def demo(data: Path | None, host: str | None, port: int | None, no_serve: bool, site: Path) -> None:
    """Make a small survey (or take yours), ingest it, build its sky, serve, print the URLs."""
    from skylane import commands

    commands.demo(console, site, data)
    if not no_serve:
        commands.serve(console, site, host, port, None, examples=True)


@main.command()
@command
def init(site: Path) -> None:
    """Write a commented skylane.toml that holds every setting with its default."""
    from skylane import commands

    commands.init(console, site)


@main.command()
@click.argument("sources", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--collection", help="Name of the collection.  [default: the folder's name]")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that read headers.")
@click.option("--dry-run", is_flag=True, help="Read and check everything, write nothing.")
@click.option("--prune", is_flag=True, help="Remove the products of files that have vanished.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the report.  [default: reports/ of the site]",
)
@command
def ingest(
    sources: tuple[Path, ...],
    collection: str | None,
    workers: int | None,
    dry_run: bool,
    prune: bool,
    report: Path | None,
    site: Path,
) -> None:
    """Catalogue folders of FITS files; without any, those of the collections in skylane.toml.

    Files that have not changed are passed over; a bad file is named in the report and never stops
    the run.

    Example: skylane ingest /data/night42 --collection night42
    """
    from skylane import commands

    commands.ingest_folders(
        console, site, sources, collection,
        workers=workers, dry_run=dry_run, prune=prune, report_path=report,
    )  # fmt: skip


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--workers", type=click.IntRange(min=1), help="Server processes.  [default: 1]")
@command
def serve(host: str | None, port: int | None, workers: int | None, site: Path) -> None:
    """Serve all services of a site on one port."""
    from skylane import commands

    commands.serve(console, site, host, port, workers)


@main.group("hips")
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
@command
def hips_build(
    collection: str | None,
    workers: int | None,
    fresh: bool,
    shard: str | None,
    scheduler: str | None,
    site: Path,
) -> None:
    """Build the HiPS of a collection (or of all): one a band, and one in colour.

    Tiles whose images have not changed are kept, and a build that was stopped goes on.

    Example: skylane hips build demo
    """
    from skylane import commands

    commands.build_hips(
        console, site, collection, workers, fresh=fresh, shard=shard, scheduler=scheduler
    )


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


@main.group("store")
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


@main.group("jobs")
def jobs_group() -> None:
    """Look after the queue of asynchronous jobs, whether servers run or not."""


@jobs_group.command("list")
@click.option("--phase", "phases", multiple=True, help="Only jobs in this phase; may be repeated.")
@click.option("--last", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@command
def jobs_list(phases: tuple[str, ...], last: int, as_json: bool, site: Path) -> None:
    """List the newest jobs of all users, and how many are in each phase.

    Example: skylane jobs list --phase EXECUTING
    """
    from skylane import jobs

    jobs.list_jobs(console, site, phases, last, as_json=as_json)


@jobs_group.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@command
def jobs_show(job_id: str, as_json: bool, site: Path) -> None:
    """Tell all that is known of a job: its query, times, progress, results, error."""
    from skylane import jobs

    jobs.show(console, site, job_id, as_json=as_json)


@jobs_group.command("abort")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@command
def jobs_abort(job_ids: tuple[str, ...], site: Path) -> None:
    """Stop jobs that wait or run; their owners are told that it was the operator."""
    from skylane import jobs

    jobs.abort(console, site, job_ids)


@jobs_group.command("delete")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@command
def jobs_delete(job_ids: tuple[str, ...], site: Path) -> None:
    """Forget jobs with their results; those that run are stopped."""
    from skylane import jobs

    jobs.delete(console, site, job_ids)


@main.group("table")
def table_group() -> None:
    """Publish tables of your own beside ivoa.obscore."""


@table_group.command("declare")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", metavar="SCHEMA.TABLE", help="Its name.  [default: site.<the file's name>]")
@command
def table_declare(file: Path, name: str | None, site: Path) -> None:
    """Write a declaration for a file of data: its columns, types, units and UCDs.

    The file is a VOTable, CSV, TSV, FITS or Parquet, plain or gzipped. What is written is Felis
    YAML (https://felis.lsst.io), to be looked through and completed.

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


@main.command()
@click.argument("adql")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write to a file; its ending chooses the format. '-' is standard output.",
)
@click.option(
    "-f",
    "--format",
    "format_name",
    metavar="FORMAT",
    help="Format by its name (votable, csv, fits, parquet ...) or media type; without -o it goes"
    " to standard output.",
)
@click.option(
    "--maxrec",
    type=click.IntRange(min=0),
    help="Rows at most.  [default: 1000 where they are shown, else tap.max_rows]",
)
@click.option(
    "--upload",
    "uploads",
    metavar="NAME=FILE",
    multiple=True,
    help="Table that the query calls TAP_UPLOAD.NAME: VOTable, CSV, FITS or Parquet. Repeatable.",
)
@click.option("--explain", is_flag=True, help="Say what the database does for it; do not run it.")
@command
def query(
    adql: str,
    output: Path | None,
    format_name: str | None,
    maxrec: int | None,
    uploads: tuple[str, ...],
    explain: bool,
    site: Path,
) -> None:
    """Run an ADQL query on the site's catalogue.

    Example: skylane query "SELECT obs_id, filter FROM ivoa.obscore" -o rows.fits
    """
    from skylane.query import run_query

    run_query(
        notices, site, adql,
        output=output, format_name=format_name, max_rows=maxrec, uploads=uploads, explain=explain,
    )  # fmt: skip


@main.command()
@click.argument("images", nargs=-1, metavar="IMAGE...")
@click.option("--stitch", is_flag=True, help="Make one image of all, on one grid.")
@click.option(
    "--table",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A cutout of each row of a VOTable, CSV, FITS table or Parquet.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that cut a table.  [default: settings]"
)
@click.option("--circle", metavar='"RA DEC RADIUS"', help="Circle, ICRS degrees.")
@click.option("--polygon", metavar='"RA DEC RA DEC RA DEC ..."', help="Polygon, ICRS degrees.")
@click.option("--pos", metavar="SHAPE", help="CIRCLE ..., RANGE ... or POLYGON ..., as in SODA.")
@click.option("--band", metavar='"LOW HIGH"', help="Wavelengths in vacuum, metres.")
@click.option("--time", metavar='"LOW HIGH"', help="MJD, UTC.")
@click.option("--pol", metavar="STATE", multiple=True, help="A polarization state. Repeatable.")
@click.option("--pixels", metavar="RANGES", help='Pixels of each axis, as "[101:200,51:150,*]".')
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    required=True,
    help="File to write; its name tells the format. '-' is standard output. With --table a .tar,"
    " a .zip or a folder.",
)
@click.option("--header", is_flag=True, help="Only the headers that the cutout would have.")
@click.option(
    "-p",
    "--param",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    help="Any other parameter of the cutout service, such as OUTSIDE=nan. Repeatable.",
)
@command
def cut(
    images: tuple[str, ...],
    stitch: bool,
    table: Path | None,
    workers: int | None,
    circle: str | None,
    polygon: str | None,
    pos: str | None,
    band: str | None,
    time: str | None,
    pol: tuple[str, ...],
    pixels: str | None,
    header: bool,
    output: Path,
    parameters: tuple[str, ...],
    site: Path,
) -> None:
    r"""Cut a piece out of an image: a FITS file, a URL of one, or an identifier of the site.

    Files may be tile-compressed or in a whole-file gzip. Of a URL (http, https, s3) only the
    headers and the bytes of the piece are fetched; credentials of S3 are those of the settings
    or the environment.

    With --stitch one image is made of several files, URLs and datasets of the site in any mixture,
    or of those of one of its collections (-p COLLECTION=...), as by the service's /stitched.

    With --table each row names a file, URL or dataset (column file, url or ID), or a position (ra,
    dec) for which the site's images are found, and has a radius or one of POS, CIRCLE, POLYGON,
    BAND, TIME, POL, PIXELS. What is made so far stays in OUTPUT.part: the same command goes on
    after it was stopped or killed. The index tells what became of each row.

    \b
    Examples: skylane cut image.fits --circle "150.1 2.2 0.01" -o out.fits
              skylane cut https://example.org/17.fits.fz --pixels "[1:99,1:99]" -o out.fits.fz
              skylane cut s3://survey/cube.fits --band "0.0029 0.0031" -o - > out.fits
              skylane cut "ivo://example.org/survey?visit17.fits" --header -o headers.fits
              skylane cut chip*.fits --stitch -p PIXSCALE=0.2 -o stitched.fits
              skylane cut --table targets.csv -o stamps
              skylane cut --table targets.vot -p FORMAT=png -o stamps.zip --workers 8
    """
    from skylane import cutting

    values = {"CIRCLE": circle, "POLYGON": polygon, "POS": pos, "BAND": band, "TIME": time,
             "PIXELS": pixels}  # fmt: skip
    named = [f"{name}={text}" for name, text in values.items() if text]
    if header:
        named.append("KIND=HEADER")
    named += [f"POL={state}" for state in pol]
    given = cutting.cutout_parameters([*named, *parameters])
    if table is not None:
        from skylane.cuttable import cut_table

        if images or stitch:
            raise click.UsageError("with --table the rows name the images, and none is stitched")
        if cut_table(notices, site, table, output, given, workers):
            click.get_current_context().exit(_SOME_FAILED)
        return
    if stitch:
        from skylane.stitching import stitch_images

        stitch_images(notices, site, images, output, given)
        return
    if len(images) != 1:
        raise click.UsageError("cut takes one image; with --stitch several become one")
    cutting.cut(notices, site, images[0], output, given)
