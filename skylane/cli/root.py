"""``skylane`` and the commands that are in no group."""
# ruff: noqa: FBT001, PLC0415 - flags are click's booleans; imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import Place, command, console, notices

__all__ = ["main"]

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
        from skylane import serving

        serving.serve(console, site, host, port, None, examples=True)


@main.command()
@command
def init(site: Path) -> None:
    """Write a commented skylane.toml that holds every setting with its default."""
    from skylane import commands

    commands.init(console, site)


@main.command()
@click.argument("sources", nargs=-1, type=Place(), metavar="[PLACE]...")
@click.option("--collection", help="Name of the collection.  [default: the folder's name]")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that read headers.")
@click.option(
    "--scheduler",
    metavar="ADDRESS|local",
    help="Have the Dask cluster of this scheduler read headers (tcp://host:8786, or its scheduler"
    " file), or one that is made here.",
)
@click.option("--dry-run", is_flag=True, help="Read and check everything, write nothing.")
@click.option(
    "--explain",
    is_flag=True,
    help="Tell each column of a file's rows and where it came from; write nothing.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["text", "json"]),
    help="Of --explain.  [default: text]",
)
@click.option("--prune", is_flag=True, help="Remove the products of files that have vanished.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the report.  [default: reports/ of the site]",
)
@click.option("--watch", is_flag=True, help="Go on with what lands, until told to stop.")
@click.option(
    "--poll",
    type=click.FloatRange(min=0.0, min_open=True),
    metavar="SECONDS",
    help="Look through the folders so often, instead of having the system tell of changes.",
)
@command
def ingest(
    sources: tuple[Path | str, ...],
    collection: str | None,
    workers: int | None,
    scheduler: str | None,
    dry_run: bool,
    explain: bool,
    format_name: str | None,
    prune: bool,
    report: Path | None,
    watch: bool,
    poll: float | None,
    site: Path,
) -> None:
    r"""Catalogue FITS files; without a place, those of the collections in skylane.toml.

    A place is a folder or file, s3://bucket/prefix/, the https:// address of a folder that its
    server lists, or a list of files by path or address (.txt, .csv, .jsonl).

    Files that have not changed are passed over; a bad file is named in the report and never stops
    the run. A source that cannot be read costs its own collection: the others are brought up to
    date, and the exit code is 3.

    \b
    Examples: skylane ingest /data/night42 --collection night42
              skylane ingest --dry-run --explain /data/night42/a.fits
    """
    if explain:
        from skylane import explaining

        if watch or prune or report or workers is not None:
            raise click.UsageError("--explain takes no --watch, --prune, --report and --workers")
        explaining.explain_files(console, site, sources, collection, as_json=format_name == "json")
        return
    if format_name is not None:
        raise click.UsageError("--format goes with --explain")
    from skylane.ingesting import ingest_places

    absent = ingest_places(
        console, site, sources, collection,
        workers=workers, dry_run=dry_run, prune=prune, report_path=report,
        watch=watch, poll_seconds=poll, scheduler=scheduler,
    )  # fmt: skip
    if absent:
        click.get_current_context().exit(_SOME_FAILED)


@main.command()
@click.argument("names", nargs=-1, metavar="[ID | FILE]...")
@click.option("--where", metavar="CONDITION", help="Those that meet a condition of ADQL.")
@click.option(
    "--file",
    "lists",
    metavar="LIST",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Those that a text file names, one a line.",
)
@click.option("--reason", metavar="TEXT", help="What is told to who asks for one later.")
@click.option("--undo", is_flag=True, help="Let products come back that were retracted.")
@click.option("--dry-run", is_flag=True, help="Tell which, do nothing.")
@command
def retract(
    names: tuple[str, ...],
    where: str | None,
    lists: tuple[Path, ...],
    reason: str | None,
    undo: bool,
    dry_run: bool,
    site: Path,
) -> None:
    """Take products out of all services for good.

    Their files stay where they are, and do not bring them back. What is left is a tombstone, which
    tells when and why.

    Example: skylane retract ivo://example/deep?a.fits --reason "the flat was wrong"
    """
    from skylane import retracting

    retracting.retract(
        console, site, names,
        where=where, lists=lists, reason=reason, dry_run=dry_run, undone=undo,
    )  # fmt: skip


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--workers", type=click.IntRange(min=1), help="Server processes.  [default: 1]")
@command
def serve(host: str | None, port: int | None, workers: int | None, site: Path) -> None:
    """Serve all services of a site on one port."""
    from skylane import serving

    serving.serve(console, site, host, port, workers)


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
    help="Table that the query calls TAP_UPLOAD.NAME: VOTable, CSV, ECSV, FITS or Parquet."
    " Repeatable.",
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
    help="A cutout of each row of a VOTable, CSV, ECSV, FITS table or Parquet.",
)
@click.option("--retry", is_flag=True, help="Of a table, make the rows that failed anew.")
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
    type=click.Path(path_type=Path, allow_dash=True),
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
    retry: bool,
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
    after it was stopped or killed. The index tells what became of each row; with --retry the same
    command tries those again that failed.

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
        if cut_table(notices, site, table, output, given, workers, retry=retry):
            click.get_current_context().exit(_SOME_FAILED)
        return
    if retry:
        raise click.UsageError("--retry goes with --table")
    if output.is_dir():
        raise click.UsageError(f"{output} is a directory; a cutout is one file")
    if stitch:
        from skylane.stitching import stitch_images

        stitch_images(notices, site, images, output, given)
        return
    if len(images) != 1:
        raise click.UsageError("cut takes one image; with --stitch several become one")
    cutting.cut(notices, site, images[0], output, given)
