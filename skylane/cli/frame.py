"""What all commands have in common: where they write, the site, and how errors are told."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from rich.console import Console
from typing_extensions import override

from vodal.errors import SkylaneError

__all__ = ["Place", "command", "console", "keep_lines", "notices"]

P = ParamSpec("P")
R = TypeVar("R")

console = Console(highlight=False)
notices = Console(highlight=False, stderr=True)


class Place(click.Path):
    """A folder or file that is there, as a path, or an address on a server, as a text."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)

    @override
    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        from obscore.sources.servers import is_address  # noqa: PLC0415 - ``--help`` needs it not

        if isinstance(value, str) and is_address(value):
            return value
        found = super().convert(str(value), param, ctx)
        assert isinstance(found, Path)
        return found


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

    return keep_lines(wrapped)


def keep_lines(function: Callable[P, R]) -> Callable[P, R]:
    """Give Click its mark of a paragraph whose lines are kept, which raw docstrings spell out."""
    function.__doc__ = (function.__doc__ or "").replace("\\b\n", "\b\n")
    return function
