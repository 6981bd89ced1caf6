"""Who runs next, played through with queries that end when the test says so."""

from __future__ import annotations

from collections import Counter

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request

from obscore.tap.turns import Turns, client_address
from vodal.errors import ServiceUnavailable


def make(
    places,
    *,
    per_user=100,
    waiting=100,
    waiting_per_user=100,
    wait_limit_s=5.0,
    parked=0,
    young=None,
):
    return Turns(
        places,
        per_user=per_user,
        waiting=waiting,
        waiting_per_user=waiting_per_user,
        wait_limit_s=wait_limit_s,
        parked=parked,
        young=young,
    )


def play(scenario):
    async def bounded():
        with anyio.fail_after(10):
            await scenario()

    anyio.run(bounded)


async def settle():
    """Let all that can go on go on."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


class Crowd:
    """Requests that wait for places; says in which order they got them."""

    def __init__(self, turns, tasks):
        self.turns, self.tasks = turns, tasks
        self.order, self.places, self.refused = [], {}, {}

    async def come(self, *names):
        for name in names:
            self.tasks.start_soon(self._take, name)
            await settle()

    async def _take(self, name):
        try:
            place = await self.turns.take(name[0])
        except ServiceUnavailable as error:
            self.refused[name] = error
            return
        self.order.append(name)
        self.places[name] = place

    async def leave(self, name):
        self.turns.give_back(self.places.pop(name))
        await settle()


def test_users_have_their_turns_one_after_the_other():
    async def scenario():
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(make(1), tasks)
            await crowd.come("a0", *(f"a{n}" for n in range(1, 6)), "b0", "b1", "c0")
            while crowd.places:
                await crowd.leave(next(iter(crowd.places)))
        assert crowd.order == ["a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4", "a5"]

    play(scenario)


def test_one_user_has_so_many_and_others_pass():
    async def scenario():
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(make(3, per_user=2), tasks)
            await crowd.come("a0", "a1", "a2", "b0")
            assert crowd.order == ["a0", "a1", "b0"]
            await crowd.come("c0")
            await crowd.leave("b0")
            # a2 came first, but two of a's run.
            assert crowd.order[-1] == "c0"
            await crowd.leave("a0")
            assert crowd.order[-1] == "a2"
            for name in list(crowd.places):
                await crowd.leave(name)
        assert (crowd.turns.running, crowd.turns.waiting) == (0, 0)

    play(scenario)


def test_queues_have_their_limits_and_say_when_to_come_back():
    async def scenario():
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(make(1, waiting=3, waiting_per_user=2), tasks)
            await crowd.come("a0", "a1", "a2", "a3", "b0", "c0")
            assert "2 of your queries are waiting" in str(crowd.refused["a3"])
            assert "too many queries are waiting" in str(crowd.refused["c0"])
            assert 1 <= crowd.refused["a3"].retry_after_s <= 60
            assert crowd.turns.waiting == 3
            while crowd.places:
                await crowd.leave(next(iter(crowd.places)))
        assert sorted(crowd.order) == ["a0", "a1", "a2", "b0"]

    play(scenario)


def test_waiting_has_an_end_and_says_why():
    async def scenario():
        turns = make(2, per_user=1, wait_limit_s=0.05)
        held = await turns.take("a")
        with pytest.raises(ServiceUnavailable, match=r"waited 0.05 s.* 1 of your own"):
            await turns.take("a")
        other = await turns.take("b")
        with pytest.raises(ServiceUnavailable, match="too many queries are running"):
            await turns.take("c")
        assert turns.waiting == 0
        for place in (held, other, other):
            turns.give_back(place)
        assert turns.running == 0

    play(scenario)


def test_who_goes_away_while_waiting_leaves_no_trace():
    async def scenario():
        turns = make(1)
        held = await turns.take("a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turns.take, "b")
            await settle()
            assert turns.waiting == 1
            tasks.cancel_scope.cancel()
        assert turns.waiting == 0
        turns.give_back(held)
        turns.give_back(await turns.take("c"))
        assert turns.running == 0

    play(scenario)


def test_who_goes_away_as_the_place_is_given_passes_it_on():
    async def scenario():
        turns = make(1)
        held = await turns.take("a")

        async def run():
            place = await turns.take("b")
            try:
                await anyio.sleep(5)
            finally:
                turns.give_back(place)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await settle()
            # Called and cancelled before it could run again.
            turns.give_back(held)
            tasks.cancel_scope.cancel()
        assert turns.running == 0

    play(scenario)


def test_a_parked_query_lends_its_place_and_has_it_back_before_others_of_its_user():
    async def scenario():
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(make(1, parked=1), tasks)
            await crowd.come("a0", "a1", "a2")
            assert crowd.turns.park(crowd.places["a0"])
            await settle()
            assert crowd.order == ["a0", "a1"]
            assert not crowd.turns.park(crowd.places["a1"])
            resumed = anyio.Event()

            async def resume():
                await crowd.turns.resume(crowd.places["a0"])
                resumed.set()

            tasks.start_soon(resume)
            await settle()
            assert not resumed.is_set()
            await crowd.leave("a1")
            assert resumed.is_set()
            assert crowd.order == ["a0", "a1"]
            await crowd.leave("a0")
            await crowd.leave("a2")
        assert crowd.turns.running == 0

    play(scenario)


def test_a_parked_query_whose_client_goes_away_is_forgotten():
    async def scenario():
        turns = make(1, parked=1)
        for _ in range(3):
            place = await turns.take("a")
            assert turns.park(place)
            turns.give_back(place)
        other = await turns.take("b")
        turns.give_back(other)
        assert turns.running == 0

    play(scenario)


def test_many_users_get_equal_shares():
    async def scenario():
        order = []
        turns = make(3, per_user=3, waiting=1000, waiting_per_user=200)

        async def ask(user):
            place = await turns.take(user)
            order.append(user)
            await anyio.lowlevel.checkpoint()
            turns.give_back(place)

        held = [await turns.take("first") for _ in range(3)]
        async with anyio.create_task_group() as tasks:
            for user, count in (("greedy", 100), ("b", 20), ("c", 20), ("d", 20)):
                for _ in range(count):
                    tasks.start_soon(ask, user)
            await settle()
            for place in held:
                turns.give_back(place)
        assert len(order) == 160
        assert Counter(order[:80]) == dict.fromkeys(("greedy", "b", "c", "d"), 20)

    play(scenario)


@pytest.mark.parametrize(
    ("host", "user"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_user_is_an_address_or_a_network(host, user):
    assert client_address(Request({"type": "http", "client": (host, 1)})) == user


def test_without_an_address_all_are_one_user():
    assert client_address(Request({"type": "http", "client": None})) == ""


def test_few_queries_begin_at_once_and_older_ones_do_not_hinder():
    async def scenario():
        async with anyio.create_task_group() as tasks:
            turns = make(6, young=2)
            crowd = Crowd(turns, tasks)
            await crowd.come("a1", "b1", "c1", "a2")
            assert crowd.order == ["a1", "b1"]
            await crowd.leave("a1")
            assert crowd.order == ["a1", "b1", "c1"]
            # Now b1 and c1 grow older, and a2 begins beside them.
            await anyio.sleep(0.1)
            assert crowd.order == ["a1", "b1", "c1", "a2"]
            assert turns.running == 3
            for name in ("b1", "c1", "a2"):
                await crowd.leave(name)
            assert turns.running == 0
            # None is counted that has left.
            await crowd.come("d1", "d2", "d3")
            assert crowd.order[4:] == ["d1", "d2"]
            await crowd.leave("d1")
            assert crowd.order[4:] == ["d1", "d2", "d3"]
            for name in ("d2", "d3"):
                await crowd.leave(name)

    play(scenario)


def test_a_query_that_is_resumed_grows_older_too():
    async def scenario():
        turns = make(4, parked=1, young=1)
        place = await turns.take("a")
        assert turns.park(place)
        other = await turns.take("b")
        turns.give_back(other)
        await turns.resume(place)
        turns.give_back(place)
        await anyio.sleep(0.1)
        turns.give_back(await turns.take("c"))
        assert turns.running == 0

    play(scenario)
