"""Few reads for many ranges."""

from hypothesis import given
from hypothesis import strategies as st

from vodal.storage.ranges import plan_requests, read_planned

DATA = bytes(range(256)) * 2000
RANGES = st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 90_000)), max_size=40)


@given(ranges=RANGES, most=st.sampled_from([None, 1000, 65_536]))
def test_each_range_gets_its_bytes_and_little_else_is_read(ranges, most):
    requests = plan_requests(ranges, most)
    parts = [b""] * len(ranges)
    for request in requests:
        block = DATA[request.offset : request.offset + request.length]
        assert most is None or request.length <= most
        for number, start, stop in request.parts:
            parts[number] += block[start:stop]
    assert parts == [DATA[offset : offset + length] for offset, length in ranges]
    wanted = len(set().union(*(range(offset, offset + length) for offset, length in ranges)))
    assert sum(request.length for request in requests) <= wanted * 9 / 8
    ends = [0, *(request.offset + request.length for request in requests)]
    assert all(a <= request.offset for a, request in zip(ends, requests, strict=False))


@given(ranges=RANGES)
def test_reading_gives_the_ranges_in_their_order(ranges):
    found = read_planned(ranges, lambda offset, length: DATA[offset : offset + length])
    assert found == [DATA[offset : offset + length] for offset, length in ranges]


def test_the_smallest_holes_are_closed_first():
    ranges = [(0, 1000), (1100, 1000), (2130, 1000), (9000, 1000)]
    spans = [(item.offset, item.length) for item in plan_requests(ranges)]
    assert spans == [(0, 3130), (9000, 1000)]


def test_what_lies_between_is_read_only_if_requests_are_more_than_lanes():
    ranges = [(k * 10_000, 100) for k in range(32)]
    assert len(plan_requests(ranges, lanes=32)) == 32
    assert len(plan_requests(ranges, lanes=31)) == 31
    assert len(plan_requests(ranges, lanes=4)) == 4
    assert len(plan_requests(ranges, lanes=4, hole_bytes=0)) == 32


def test_many_small_holes_are_read_along():
    ranges = [(k * 10_000, 100) for k in range(500)]
    assert len(plan_requests(ranges)) == 64
    far = [(k * 1_000_000, 100) for k in range(500)]
    assert len(plan_requests(far)) == 500
