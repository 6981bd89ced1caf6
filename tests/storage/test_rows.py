"""Evenly spaced rows of a file, held against slices of its bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.storage import LocalReader, files

QUICK = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=["memory", "disk", "in part", "no such call"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rows be in memory, on a disk, partly in memory; be of a system that cannot tell."""
    real, calls = os.preadv, [0]

    def preadv(fd: int, parts: list[memoryview], at: int, flags: int = 0) -> int:
        calls[0] += 1
        if flags and request.param == "disk":
            raise BlockingIOError
        if request.param == "in part" and calls[0] % 3 == 0:
            # As much as is there: less than was asked for, within a row or a hole.
            if flags:
                raise BlockingIOError
            return real(fd, [parts[0][: max(1, len(parts[0]) // 2)]], at)
        return real(fd, parts, at, flags)

    monkeypatch.setattr(os, "preadv", preadv)
    if request.param == "no such call":
        monkeypatch.setattr(files, "_NOW", None)


@QUICK
@given(
    offset=st.integers(0, 500),
    width=st.integers(1, 6000),
    gap=st.sampled_from([0, 1, 100, 4095, 4096, 4097, 20_000, 70_000]),
    count=st.integers(1, 40),
)
@pytest.mark.usefixtures("way")
def test_rows_are_slices_of_the_file(
    tmp_path: Path, offset: int, width: int, gap: int, count: int
) -> None:
    stride = width + gap
    data = np.random.default_rng(1).integers(0, 256, offset + count * stride, np.uint8).tobytes()
    path = tmp_path / "a"
    path.write_bytes(data)
    out = bytearray(count * width)
    with LocalReader(path) as reader:
        reader.read_rows(offset, stride, width, memoryview(out))
    starts = range(offset, len(data), stride)
    assert bytes(out) == b"".join(data[start : start + width] for start in starts)


@pytest.mark.parametrize("gap", [0, 50, 5000, 100_000])
@pytest.mark.usefixtures("way")
def test_a_file_that_ends_within_a_row_is_an_error(tmp_path: Path, gap: int) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(bytes(10 * (200 + gap) - gap - 1))
    with (
        LocalReader(path) as reader,
        pytest.raises(DataError, match=r"the file a\.fits ends before byte"),
    ):
        reader.read_rows(0, 200 + gap, 200, memoryview(bytearray(2000)))


def test_many_rows_take_more_than_one_call(tmp_path: Path) -> None:
    data = np.arange(6000 * 12, dtype=np.uint8).reshape(6000, 12)
    path = tmp_path / "a"
    path.write_bytes(data.tobytes())
    out = bytearray(6000 * 5)
    with LocalReader(path) as reader:
        reader.read_rows(3, 12, 5, memoryview(out))
    assert bytes(out) == data[:, 3:8].tobytes()
