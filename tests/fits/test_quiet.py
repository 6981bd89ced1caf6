"""Warnings that are silenced in one thread, while others silence theirs or want to hear."""

from __future__ import annotations

import importlib.util
import logging
import threading
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from vodal.fits.cards import repair_cards
from vodal.fits.quiet import quiet, strict

ODD_CARDS = fits.Header(
    {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "RADECSYS": "FK5", "CRVAL1": "here", "CRVAL2": 2}
)
"""Of which astropy's Python code warns, and its C code too."""


def test_what_python_and_c_code_warn_of_is_silenced_in_the_block_alone():
    with pytest.warns(FITSFixedWarning) as told:
        WCS(ODD_CARDS)
    assert len(told) > 1
    with quiet():
        WCS(ODD_CARDS)
        with quiet():
            warnings.warn("inner", UserWarning, stacklevel=1)
        warnings.warn("outer", UserWarning, stacklevel=1)
        np.nanmean(np.array([np.nan]))
    with pytest.raises(UserWarning):
        warnings.warn("after", UserWarning, stacklevel=1)


def test_threads_are_silenced_each_for_itself():
    """With one filter list for all, that of one thread would be undone by the other's end."""
    inside, leave = threading.Event(), threading.Event()
    faults = []

    def silent():
        try:
            with quiet():
                inside.set()
                assert leave.wait(30)
                WCS(ODD_CARDS)
        except Exception as error:  # noqa: BLE001
            faults.append(error)

    filters = warnings.filters
    thread = threading.Thread(target=silent)
    thread.start()
    assert inside.wait(30)
    assert warnings.filters is filters
    with pytest.raises(UserWarning):
        warnings.warn("loud", UserWarning, stacklevel=1)
    with quiet():
        pass
    leave.set()
    thread.join()
    assert faults == []
    assert warnings.filters is filters


def test_the_block_is_silent_whatever_filters_were_set_before_it():
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with quiet():
                warnings.warn("x", UserWarning, stacklevel=1)
    with quiet():
        count = len(warnings.filters)
    for _ in range(10):
        with quiet():
            pass
    assert len(warnings.filters) == count


def test_astropys_notes_are_kept_back_in_the_block_alone():
    logger, told = logging.getLogger("astropy"), []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger.addHandler(handler)
    try:
        with quiet():
            logger.warning("kept back")
            logger.error("an error")
        logger.warning("after")
    finally:
        logger.removeHandler(handler)
    assert told == ["an error", "after"]


def test_compiling_leaves_the_filters_of_the_process_alone(tmp_path, monkeypatch):
    path = tmp_path / "inner.py"
    path.write_text(
        "from vodal.compiled import compiled\n\n"
        "def _total(values):\n    s = 0.0\n    for v in values:\n        s += v\n    return s\n\n"
        "total = compiled(_total)\n"
    )
    spec = importlib.util.spec_from_file_location("inner", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.total(np.arange(5)) == 10.0  # loads what the compiler needs
    swaps = []
    monkeypatch.setattr(warnings.catch_warnings, "__enter__", lambda _: swaps.append(1))
    monkeypatch.setattr(warnings.catch_warnings, "__exit__", lambda *_: None)
    assert module.total(np.arange(5.0)) == 10.0
    monkeypatch.undo()
    assert swaps == []
    assert len(module.total.stats.cache_misses) == 2


def test_in_strict_blocks_alone_warnings_are_errors_also_where_it_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with quiet(), strict(), pytest.raises(UserWarning, match="inner"):
            warnings.warn("inner", UserWarning, stacklevel=1)
        with quiet():
            warnings.warn("outer", UserWarning, stacklevel=1)
        warnings.warn("after", UserWarning, stacklevel=1)


def test_the_repair_of_cards_leaves_the_filters_of_the_process_alone():
    """Else what any library warns of later would be an error in a server."""
    odd = "EXPTIME = 'no end of the text".ljust(80)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert repair_cards([odd])[0] != odd
        warnings.warn("later", UserWarning, stacklevel=1)
