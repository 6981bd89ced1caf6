"""Which HDUs of a file are wanted: planes by number or name, and tables that belong to an image."""

from __future__ import annotations

from collections.abc import Sequence

from soda.selection import HduChoice
from vodal.errors import UsageError
from vodal.fits.index import FileIndex, HduIndex

__all__ = ["chosen_planes", "chosen_tables"]


def chosen_planes(
    index: FileIndex, planes: Sequence[HduIndex], choices: Sequence[HduChoice]
) -> list[HduIndex]:
    """Give the planes that are chosen, in the order of the product; all if there is no choice.

    Raises
    ------
    UsageError
        If a choice is neither a plane nor a table of the file.
    """
    if not choices:
        return list(planes)
    known = [*planes, *_tables(index)]
    for choice in choices:
        if not any(_is_chosen(hdu, choice) for hdu in known):
            raise UsageError(
                f"HDU: {_text(choice)} is not part of this dataset; it has "
                f"{', '.join(_named(hdu) for hdu in known[:20])}"
            )
    return [hdu for hdu in planes if any(_is_chosen(hdu, choice) for choice in choices)]


def chosen_tables(
    index: FileIndex, hdus: Sequence[int], choices: Sequence[HduChoice], *, belonging: bool
) -> tuple[int, ...]:
    """Give the tables that go along with an image.

    Parameters
    ----------
    index
        Of the file.
    hdus
        The product's HDUs, image plane first.
    choices
        HDUs that the request names.
    belonging
        Whether all tables that belong to the image are wanted: of tables that are alone with their
        EXTNAME each, as they are of the whole file; of several with one EXTNAME those that have the
        image's EXTVER or, where all have the same, that stand between its planes and the next image
        of the file that is none of them.

    Returns
    -------
    tuple of int
        Numbers of HDUs.
    """
    tables = _tables(index)
    found = {t.number for t in tables if any(_is_chosen(t, choice) for choice in choices)}
    if belonging:
        for table in tables:
            namesakes = [other for other in tables if other.name == table.name]
            if len(namesakes) == 1 or _belongs(index, hdus, table, namesakes):
                found.add(table.number)
    return tuple(sorted(found))


def _belongs(
    index: FileIndex, hdus: Sequence[int], table: HduIndex, namesakes: Sequence[HduIndex]
) -> bool:
    if len({other.extver for other in namesakes}) > 1:
        return table.extver == index.hdus[hdus[0]].extver
    last = max(number for number in hdus if number < table.number or number == hdus[0])
    between = index.hdus[last + 1 : table.number]
    return table.number > last and all(hdu.kind in {"table", "empty"} for hdu in between)


def _tables(index: FileIndex) -> list[HduIndex]:
    return [hdu for hdu in index.hdus if hdu.kind == "table" and hdu.cards]


def _is_chosen(hdu: HduIndex, choice: HduChoice) -> bool:
    if choice.number is not None:
        return hdu.number == choice.number
    return hdu.name == choice.name and choice.extver in {None, hdu.extver}


def _text(choice: HduChoice) -> str:
    if choice.number is not None:
        return str(choice.number)
    return f"'{choice.name[:40]}{'' if choice.extver is None else f',{choice.extver}'}'"


def _named(hdu: HduIndex) -> str:
    return f"{hdu.number} ({hdu.name},{hdu.extver})" if hdu.name else str(hdu.number)
