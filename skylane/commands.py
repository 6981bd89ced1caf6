"""The commands that begin a site: ``init`` and ``demo``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from skylane.documentation import settings_file
from skylane.settings import SETTINGS_FILE
from vodal.errors import UsageError

__all__ = ["demo", "init"]


def demo(console: Console, site_path: Path, data: Path | None) -> None:
    """Prepare the demo: data, catalogue, HiPS."""
    # ``init`` starts without all that these need.
    from skylane.building import build_hips  # noqa: PLC0415
    from skylane.demo import survey_folder  # noqa: PLC0415
    from skylane.ingesting import ingest_places  # noqa: PLC0415
    from skylane.progress import step  # noqa: PLC0415

    if data is None:
        with step(console, "Making a synthetic survey") as progress:
            data = survey_folder(site_path, progress)
    ingest_places(console, site_path, (data,), None)
    build_hips(console, site_path, None)


def init(console: Console, site_path: Path) -> None:
    """Write a settings file with every default."""
    path = site_path / SETTINGS_FILE
    if path.exists():
        raise UsageError(f"{path} exists already")
    site_path.mkdir(parents=True, exist_ok=True)
    path.write_text(settings_file(), "utf-8")
    console.print(f"Wrote {path}")
