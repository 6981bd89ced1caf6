"""Feed bytes that atheris invents to the parser, the resolver and the printer.

    python tests/adql/fuzz_bytes.py [CORPUS_DIR] [-max_total_time=600] [-slow_ms=100]

Options with one dash are libFuzzer's, but ``-slow_ms``: the processor time over which a query of
10 kB or less is a finding. An input that ends in anything but SQL or a `QueryError` is written to
the folder of work as ``crash-...``. The test suite runs a few thousand inputs of one seed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["obscore.adql"]):
    from obscore import adql
    from obscore.adql.sqlite.printer import Printer
    from obscore.adql.tokens import RESERVED

sys.path.insert(0, str(Path(__file__).parent))

from conftest import SCHEMA, read_cases

from vodal.errors import QueryError

NAMES = ("obs_id", "s_ra", "s_region", "obscore", "ivoa", "targets", "test.numbers", "id", "a", "t")


class SlowError(Exception):
    """A query that took longer than it may."""


def feed(data: bytes, slow_s: float) -> None:
    """Translate one text.

    Raises
    ------
    Exception
        Whatever is no `QueryError`: a finding.
    """
    text = data.decode("utf-8", "surrogateescape")
    start = time.process_time()
    refused: QueryError | None = None
    sql = ""
    try:
        sql = adql.translate(text, SCHEMA, limit=10, printer=Printer).sql
    except QueryError as error:
        refused = error
    if refused is None:
        assert "zQ7" not in sql
    else:
        assert (refused.line or 0) >= 1
        assert (refused.column or 0) >= 1
        assert 0 < len(str(refused)) < 1000
    if len(data) <= 10_000 and time.process_time() - start > slow_s:
        raise SlowError(f"{time.process_time() - start:.3f} s for {len(data)} bytes")


def main(arguments: list[str]) -> None:
    """Fuzz, starting from the queries of the corpus."""
    slow_s = 1e9
    passed = []
    for argument in arguments:
        if argument.startswith("-slow_ms="):
            slow_s = float(argument.partition("=")[2]) / 1000.0
        else:
            passed.append(argument)
    folder = Path(tempfile.mkdtemp(prefix="adql-fuzz-"))
    words = [*sorted(RESERVED), *NAMES, "'zQ7'", '"zQ7"', "ivo_healpix_index", "TAP_UPLOAD"]
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    (folder / "words").write_text("\n".join(f'"{word}"' for word in escaped), encoding="utf-8")
    seeds = folder / "seeds"
    seeds.mkdir()
    for number, (query, _) in enumerate([*read_cases("valid.txt"), *read_cases("invalid.txt")]):
        (seeds / f"{number:04}").write_text(query, encoding="utf-8")
    options = ["-max_len=10000", f"-dict={folder / 'words'}", "-timeout=30", *passed]
    if all(option.startswith("-") for option in passed):
        options.append(str(folder))
    atheris.Setup([sys.argv[0], *options, str(seeds)], lambda data: feed(data, slow_s))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
