"""``skylane hips check``: the findings as text or JSON, and an exit code."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict

import click

from hips.check import Finding, Level, check_hips, check_list
from hips.check.place import WebPlace
from vodal.errors import NotFoundError

__all__ = ["check"]

_COLORS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: None}


def check(where: str, *, limit: int | None, is_list: bool, strict: bool, as_json: bool) -> int:
    """Check a HiPS or a list of them and tell what was found.

    Returns
    -------
    int
        The exit code: 1 if there is an error or, with ``strict``, a warning; else 0.
    """
    findings = check_list(_bytes(where)) if is_list else check_hips(where, limit)
    count = Counter(finding.level for finding in findings)
    bad = count[Level.ERROR] + (count[Level.WARNING] if strict else 0)
    if as_json:
        levels = {level.value: count[level] for level in Level}
        document = {"hips": where, **levels, "findings": [asdict(one) for one in findings]}
        click.echo(json.dumps(document, indent=1))
    else:
        _tell(where, findings, count)
    return 1 if bad else 0


def _tell(where: str, findings: list[Finding], count: Counter[Level]) -> None:
    for level in Level:
        for finding in findings:
            if finding.level == level:
                # A name in the HiPS must not control the terminal.
                text = "".join(c if c.isprintable() else "?" for c in str(finding))
                click.secho(text, fg=_COLORS[level])
    numbers = ", ".join(f"{count[level]} {level}s" for level in Level)
    click.echo(f"{where}: {numbers if findings else 'nothing is wrong'}")


def _bytes(where: str) -> bytes:
    if where.lower().startswith(("http://", "https://")):
        data = WebPlace(where).read("")
        if data is None:
            raise NotFoundError(f"there is nothing at {where}")
        return data
    try:
        with open(where, "rb") as file:  # noqa: PTH123 - as it was given
            return file.read()
    except OSError as error:
        raise NotFoundError(f"'{where}' cannot be read: {error.strerror}") from None
