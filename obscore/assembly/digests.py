"""Digests of many files of which a source tells by column: what `Rules.digest_of` gives of each."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii

from obscore.assembly.rules import TOLD, Rules
from obscore.sources.columns import CandidateColumns, Cells

__all__ = ["digests_of"]


def digests_of(some: CandidateColumns, rules: Rules) -> list[str]:
    """Give the digests of files whose rows are made of what the source tells.

    The text that is hashed is that of `Rules.digest_of` to the letter; only it is put together
    column by column, as JSON is of most cells what a single function gives of the whole column.
    """
    version = some.stat.version
    begin = f"\n{version}[{{}}, {json.dumps(dict(some.units))}, [{{"
    names = [json.dumps(name).replace("%", "%%") for name in some.facts]
    facts = f"{', '.join(f'{name}: %s' for name in names)}}}, null, %s]]".__mod__
    hdus: Sequence[str] = ['""'] * len(some) if some.hdus is None else _texts(list(some.hdus))
    cells = zip(*map(_texts, some.facts.values()), hdus, strict=True)
    heads = rules.digest_heads(some.relatives)
    known: dict[str, hashlib._Hash] = {}
    digests = []
    for head, relative, told in zip(heads, some.relatives, map(facts, cells), strict=True):
        begun = known.get(head)
        if begun is None:
            begun = known[head] = hashlib.sha256(head.encode("utf-8", "surrogatepass"))
        whole = begun.copy()
        whole.update(f"\n{relative}{begin}{told}".encode("utf-8", "surrogatepass"))
        digests.append(TOLD + whole.hexdigest()[:20])
    return digests


def _texts(cells: Cells) -> list[str]:
    """Write each cell as JSON."""
    kinds = set(map(type, cells))
    if kinds == {str}:
        return list(map(encode_basestring_ascii, cells))  # type: ignore[arg-type]
    if kinds == {int}:
        return list(map(int.__repr__, cells))
    if kinds == {float} and all(map(math.isfinite, cells)):  # type: ignore[arg-type]
        return list(map(float.__repr__, cells))
    return list(map(json.dumps, cells))
