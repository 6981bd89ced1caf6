"""The parameters of a job from a request, and what is uploaded with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from starlette.requests import Request
from typing_extensions import override

from vodal.params import Params
from vodal.uws.results import JobFolder
from vodal.web.requests import read_params

__all__ = ["FormIntake", "Intake"]


class Intake(Protocol):
    """Takes what a client sends with a job; a service that has uploads brings its own."""

    async def read(self, request: Request, folder: JobFolder) -> Params:
        """Read a request that makes a job or changes its parameters.

        Parameters
        ----------
        request
            By POST.
        folder
            Of the job. What is uploaded goes to ``folder.inputs``, in a thread; the folder is
            removed if the job is not made after all.

        Raises
        ------
        UsageError
            If the request is malformed.
        """
        ...

    def merge(
        self, before: Sequence[tuple[str, str]], now: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Put parameters that are sent later to those that the job has."""
        ...


class FormIntake(Intake):
    """Takes parameters and no uploads; a parameter sent again replaces the earlier one."""

    @override
    async def read(self, request: Request, folder: JobFolder) -> Params:
        return await read_params(request)

    @override
    def merge(
        self, before: Sequence[tuple[str, str]], now: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        replaced = {name for name, _ in now}
        return [*((name, value) for name, value in before if name not in replaced), *now]
