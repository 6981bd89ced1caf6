"""The data of the demo: a small synthetic survey, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

from skylane.progress import Report
from vodal.testing.skies import make_survey

__all__ = ["survey_folder"]


def survey_folder(site: Path, progress: Report) -> Path:
    """Give the folder of the synthetic survey, made if it is not there yet.

    40 exposures of 1024 x 1024 pixels in three bands; the same files each time. A survey whose
    making was cut short is made anew.
    """
    folder = site / "data" / "demo"
    complete = folder.with_suffix(".complete")
    if complete.is_file() and folder.is_dir():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    make_survey(folder, progress=progress)
    complete.touch()
    return folder
