"""Which images have their previews made ahead, and in which order."""

from __future__ import annotations

import asyncio
import fcntl
from dataclasses import replace

import pytest

from hips.live.landings import Landings
from hips.live.settings import LiveSettings
from vodal.errors import ServiceUnavailable
from vodal.products import Product
from vodal.regions import Circle

IMAGE = Product(
    "", "demo", "file:///x.fits", "x.fits", "image/fits", 1, "1", 0.0, (0,), Circle(1.0, 2.0, 0.1)
)


class Wanted:
    """Stands for the workers: notes what is asked for."""

    def __init__(self):
        self.dids, self.fails = [], set()

    async def prepare(self, product):
        self.dids.append(f"{product.did}@{product.version}")
        if product.did in self.fails:
            raise ServiceUnavailable("the storage does not answer")


@pytest.fixture
def following(shelf, tmp_path):
    """Give what runs a follower while a function changes the catalogue, step by step."""

    def run(*steps, first=(), **settings):
        wanted = Wanted()
        shelf.items[:] = first
        how = LiveSettings(prepare_every_s=0.01, **settings)
        told = []

        async def work():
            landings = Landings(shelf, wanted, how, tmp_path / "a" / "lock")
            landings.start()
            for step in (None, *steps):
                if step is not None:
                    step(wanted)
                seen = -1
                while seen != len(wanted.dids):
                    seen = len(wanted.dids)
                    await asyncio.sleep(0.3)
                told.append(list(wanted.dids))
                wanted.dids.clear()
            await landings.close()

        asyncio.run(work())
        return told

    return run


def images(*names, version="1"):
    return [replace(IMAGE, did=name, version=version) for name in names]


def test_what_was_there_comes_latest_first_and_no_more_than_there_is_room_for(following):
    (told,) = following(first=images("a", "b", "c"))
    assert told == ["c@1", "b@1", "a@1"]
    many = [str(number) for number in range(60)]
    (told,) = following(first=images(*many), preview_cache_bytes=30 * (4 << 20))
    assert told == [f"{name}@1" for name in reversed(many[-30:])]


def test_what_lands_is_prepared_once(following, shelf):
    first, second, third = following(
        lambda _: shelf.items.extend(images("b", "c")),
        lambda _: None,
        first=images("a"),
    )
    assert first == ["a@1"]
    assert second[:2] == ["c@1", "b@1"]
    assert third == []


def test_a_file_that_was_replaced_is_prepared_anew_though_its_number_is_not_new(following, shelf):
    def replaced(_):
        shelf.items[-1:] = images("b", version="2")

    _, second = following(replaced, first=images("a", "b"))
    assert second[0] == "b@2"


def test_a_catalogue_that_was_emptied_is_followed_from_its_beginning(following, shelf):
    _, second, third = following(
        lambda _: shelf.items.clear(),
        lambda _: shelf.items.extend(images("z")),
        first=images(*"abc"),
    )
    assert second == []
    assert third == ["z@1"]


def test_masks_and_what_has_no_place_are_passed_over_and_a_failure_is_no_end(following):
    odd = [
        replace(IMAGE, did="mask", obscore={"dataproduct_subtype": "mask"}),
        replace(IMAGE, did="nowhere", region=None),
        replace(IMAGE, did="empty", hdus=()),
    ]

    def fail(wanted):
        wanted.fails.add("late")

    (told, _) = following(fail, first=[*images("a"), *odd, *images("b")])
    assert told == ["b@1", "a@1"]


def test_one_process_follows_and_another_takes_over(following, shelf, tmp_path):
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        first, second = following(lambda _: fcntl.flock(other, fcntl.LOCK_UN), first=images("a"))
    assert (first, second) == ([], ["a@1"])


def test_nothing_is_done_where_the_settings_say_so(shelf, tmp_path):
    wanted = Wanted()
    shelf.items[:] = images("a")

    async def work():
        landings = Landings(shelf, wanted, LiveSettings(prepare_every_s=0.0), tmp_path / "lock")
        landings.start()
        await asyncio.sleep(0.05)
        await landings.close()

    asyncio.run(work())
    assert wanted.dids == []
    assert not (tmp_path / "lock").exists()
