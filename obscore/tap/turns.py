"""Who runs a query next: so many at once, so many of one user, and each user in turn."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import anyio
from starlette.requests import Request

from vodal.errors import ServiceUnavailable

__all__ = ["Place", "Turns", "client_address"]

_FIRST_GUESS_S = 1.0
"""How long a query is taken to last before any has ended."""

_LONGEST_RETRY_S = 60

_YOUNG_S = 0.02
"""Seconds for which a query is a young one."""


def client_address(request: Request) -> str:
    """Name the user of a request by the client's address; of IPv6 by its network.

    One client of IPv6 has 2^64 addresses to choose from.
    """
    host = "" if request.client is None else request.client.host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return host


@dataclass(eq=False, slots=True)
class Place:
    """The right to run one query, until it is given back."""

    user: str
    waited_s: float
    """Seconds in the queue."""
    began: float
    held: bool = True
    """False once it was given back, and while it is parked."""
    parked: bool = False
    ageing: asyncio.TimerHandle | None = None
    """Ends its youth; None once that is over."""


@dataclass(eq=False, slots=True)
class _Ticket:
    """One that waits."""

    called: anyio.Event
    place: Place | None = None


class Turns:
    """Gives places to run queries in; belongs to one event loop.

    A free place goes to the users who wait, one after the other, and to each user's own requests
    in the order in which they came: one that sends a hundred waits for itself, not others for it.

    Parameters
    ----------
    places
        Queries that run at once.
    per_user
        Of one user.
    waiting
        Requests that wait at most; one more is told to come back later.
    waiting_per_user
        Of one user.
    wait_limit_s
        Seconds that a request waits before it is told to come back later.
    parked
        Queries whose clients read slowly that may be aside at once; of one user at most as many
        as run.
    young
        Queries that are in their first moments at once; None for any number. Most queries end
        within these, and take longer together than one after the other where they all compute in
        this process.
    """

    def __init__(
        self,
        places: int,
        *,
        per_user: int,
        waiting: int,
        waiting_per_user: int,
        wait_limit_s: float,
        parked: int = 0,
        young: int | None = None,
    ) -> None:
        self._places = places
        self._per_user = min(per_user, places)
        self._longest = waiting
        self._longest_per_user = waiting_per_user
        self._wait_limit_s = wait_limit_s
        self._most_parked = parked
        self._most_young = math.inf if young is None else young
        self._young = 0
        self._running: Counter[str] = Counter()
        self._parked: Counter[str] = Counter()
        # Users in the order in which their turns come.
        self._queues: OrderedDict[str, deque[_Ticket]] = OrderedDict()
        self._mean_s = _FIRST_GUESS_S

    @property
    def running(self) -> int:
        """Queries that run."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._queues.values()))

    async def take(self, user: str) -> Place:
        """Wait for a place; it must be given back.

        Raises
        ------
        ServiceUnavailable
            If too many wait, or it took too long.
        """
        began = time.monotonic()
        if user not in self._queues and self._may_run(user):
            return self._seat(user, began)
        self._check_room(user)
        ticket = _Ticket(anyio.Event())
        self._queues.setdefault(user, deque()).append(ticket)
        await self._called(user, ticket, self._wait_limit_s)
        if ticket.place is None:
            self._forget(user, ticket)
            raise ServiceUnavailable(
                f"the query waited {self._wait_limit_s:g} s for its turn, the limit of this "
                f"service; {self._why(user)}",
                self._retry_after_s(user),
            )
        ticket.place.waited_s = time.monotonic() - began
        return ticket.place

    def give_back(self, place: Place) -> None:
        """Give a place back; a second time does nothing."""
        if place.parked:
            # Its client went away meanwhile.
            self._unpark(place)
        if place.held:
            lasted_s = time.monotonic() - place.began
            self._mean_s += 0.1 * (lasted_s - self._mean_s)
            self._leave(place)

    def park(self, place: Place) -> bool:
        """Let another query run while this one waits for its client to read; False if it may not.

        A place that is parked must be resumed, by `resume`.
        """
        user = place.user
        if self._parked.total() >= self._most_parked or self._parked[user] >= self._per_user:
            return False
        self._parked[user] += 1
        place.parked = True
        self._leave(place)
        return True

    async def resume(self, place: Place) -> None:
        """Wait for a parked query's place, before all others of its user."""
        user = place.user
        if user not in self._queues and self._may_run(user):
            self._seat(user, place.began)
        else:
            ticket = _Ticket(anyio.Event())
            self._queues.setdefault(user, deque()).appendleft(ticket)
            await self._called(user, ticket, math.inf)
        self._unpark(place)
        place.held = True

    def _unpark(self, place: Place) -> None:
        place.parked = False
        self._parked[place.user] -= 1
        if not self._parked[place.user]:
            del self._parked[place.user]

    def _leave(self, place: Place) -> None:
        self._grow_up(place)
        place.held = False
        self._running[place.user] -= 1
        if not self._running[place.user]:
            del self._running[place.user]
        self._call_next()

    async def _called(self, user: str, ticket: _Ticket, limit_s: float) -> None:
        """Wait until a ticket has its place, or as long as it may wait."""
        try:
            with anyio.move_on_after(limit_s):
                await ticket.called.wait()
        except BaseException:
            self._forget(user, ticket)
            if ticket.place is not None:
                self.give_back(ticket.place)
            raise

    def _may_run(self, user: str) -> bool:
        return (
            self.running < self._places
            and self._running[user] < self._per_user
            and self._young < self._most_young
        )

    def _seat(self, user: str, began: float) -> Place:
        self._running[user] += 1
        now = time.monotonic()
        place = Place(user, now - began, now)
        if self._most_young < self._places:
            self._young += 1
            place.ageing = asyncio.get_running_loop().call_later(_YOUNG_S, self._age, place)
        return place

    def _age(self, place: Place) -> None:
        """End the youth of a query."""
        self._grow_up(place)
        self._call_next()

    def _grow_up(self, place: Place) -> None:
        if place.ageing is not None:
            place.ageing.cancel()
            place.ageing = None
            self._young -= 1

    def _check_room(self, user: str) -> None:
        if len(self._queues.get(user, ())) >= self._longest_per_user:
            raise ServiceUnavailable(
                f"{self._longest_per_user} of your queries are waiting already, the limit of this "
                "service; send fewer at a time",
                self._retry_after_s(user),
            )
        if self.waiting >= self._longest:
            raise ServiceUnavailable(
                "too many queries are waiting; try again later", self._retry_after_s(user)
            )

    def _forget(self, user: str, ticket: _Ticket) -> None:
        queue = self._queues.get(user)
        if queue is not None and ticket in queue:
            queue.remove(ticket)
            if not queue:
                del self._queues[user]

    def _call_next(self) -> None:
        """Give the free places to who waits."""
        for user in list(self._queues):
            if self.running >= self._places:
                return
            if not self._may_run(user):
                continue
            queue = self._queues[user]
            ticket = queue.popleft()
            # Behind all others, until its turn comes again.
            self._queues.move_to_end(user)
            if not queue:
                del self._queues[user]
            ticket.place = self._seat(user, time.monotonic())
            ticket.called.set()

    def _why(self, user: str) -> str:
        if self._running[user] >= self._per_user:
            return (
                f"{self._per_user} of your own were running all the time, as many as one user has "
                "at once"
            )
        return "too many queries are running; try again later"

    def _retry_after_s(self, user: str) -> int:
        """Guess when there will be room, by how long queries last."""
        mine = len(self._queues.get(user, ())) + 1
        turns = max(self.waiting / self._places, mine / self._per_user)
        return max(1, min(_LONGEST_RETRY_S, math.ceil(turns * self._mean_s)))
