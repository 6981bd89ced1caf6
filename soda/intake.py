"""The parameters and tables of a job of cutouts, checked as far as can be before there is one."""

from __future__ import annotations

from starlette.requests import Request
from typing_extensions import override

from soda.combined import check_combined
from soda.packing import read_packing
from vodal.params import Params
from vodal.uploads.jobs import JobUploads
from vodal.uploads.tables import TableUploads
from vodal.uws.results import JobFolder

__all__ = ["CutoutIntake"]


class CutoutIntake(JobUploads):
    """Takes what comes with jobs, and refuses what cannot be made of several datasets.

    Parameters
    ----------
    uploads
        Reads tables.
    stitches
        Whether images are stitched here.
    """

    def __init__(self, uploads: TableUploads, *, stitches: bool) -> None:
        super().__init__(uploads)
        self._stitches = stitches

    @override
    async def read(self, request: Request, folder: JobFolder) -> Params:
        params = await super().read(request, folder)
        _, given = read_packing(params)
        check_combined(given, stitches=self._stitches)
        return params
