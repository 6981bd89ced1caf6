"""The processes that work: results, errors, death."""

from __future__ import annotations

import math
import os

import pytest

from hips.crew import Crew
from vodal.errors import DataError, ServiceUnavailable


def fail(number):
    if number == 3:
        raise DataError("three is no number")
    return math.sqrt(number)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_and_errors_come_back_with_their_arguments(workers):
    with Crew(workers) as crew:
        got = dict(crew.results(fail, range(30)))
    assert set(got) == set(range(30))
    assert isinstance(got.pop(3), DataError)
    assert all(value == math.sqrt(number) for number, value in got.items())


def test_a_worker_that_dies_is_told_and_does_not_hang():
    with Crew(2) as crew, pytest.raises(ServiceUnavailable, match="died"):
        list(crew.results(os._exit, [1] * 20))
    with Crew(2) as crew:
        future = crew.submit(os._exit, 1)
        crew.first([future])
        with pytest.raises(ServiceUnavailable, match="fewer workers"):
            crew.error_of(future)


def test_a_crew_that_is_given_is_not_ended():
    with Crew(2) as crew:
        with Crew.of(crew, 5) as same:
            assert same is crew
        assert crew.submit(math.sqrt, 4).result() == 2.0
