"""What tests of HiPS compare."""

from __future__ import annotations

from pathlib import Path

from hips.properties import parse_properties
from hips.recipe import BUILD_FOLDER

__all__ = ["served_files"]


def served_files(folder: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Give the bytes of all that is served but the properties, and these without their dates.

    Parameters
    ----------
    folder
        Of a HiPS.
    """
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and BUILD_FOLDER not in path.parts
    }
    values = parse_properties(found.pop("properties").decode())
    return found, {key: value for key, value in values.items() if not key.endswith("_date")}
