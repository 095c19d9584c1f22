"""What an event costs on AWS, in requests and units of capacity: docs/COST.md has the figures, and scripts/cost reckons with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.costs import EVENTS, Calls
from stack.event_types import EVENT_FUNCTIONS
from stack.stack import DOMAIN
from support.aws_proxy import AwsProxy
from support.folders import new_folder
from support.platform import FUNCTIONS, Platform
from support.wait import until


class Meter:
    """A stack whose calls to SQS and DynamoDB are counted."""

    def __init__(self, platform: Platform, proxy: AwsProxy) -> None:
        self._platform, self._proxy = platform, proxy
        self.written = 0
        """Bytes of the items that the last events wrote."""

    def cost(self, *events: tuple[str, dict[str, Any]]) -> Calls:
        """Of events that come together, each handled at its first delivery."""
        mark, acknowledged = self._platform.mark(), self._acknowledged()
        self._proxy.calls.clear()
        self._proxy.units.clear()
        for key, payload in events:
            self._platform.publish(key, payload)
        ids = {self._function(key) for key, _ in events}
        until(lambda: self._received(mark) >= len(events), "the events to be received")
        for function in ids:
            self._platform.wait_handled(function)
        # The bridge reads its epoch between sending and acknowledging: an event may be handled before that.
        until(lambda: self._acknowledged() == acknowledged + len(events), "the events to be acknowledged")
        assert self._received(mark) == len(events), "one came again: measure once more"
        sends = self._proxy.calls["SendMessageBatch"] + self._proxy.calls["SendMessage"]
        self.written = self._proxy.units["written"]
        return Calls(reads=self._proxy.units["read"], writes=self._proxy.units["write"], sends=sends)

    def _function(self, key: str) -> str:
        return FUNCTIONS[key]

    def _acknowledged(self) -> int:
        """Events, by the bridge since its start."""
        return httpx.get(self._platform.stack.bridge.health_url, trust_env=False).json()["acknowledged"]

    def _received(self, mark: int) -> int:
        return sum(line["message"].startswith("Received ") for line in self._platform.log(since=mark))


@pytest.fixture(scope="module")
def meter(request: pytest.FixtureRequest) -> Iterator[Meter]:
    """On a stack of its own, behind a proxy."""
    with new_folder("costs", request.session) as folder, contextlib.closing(AwsProxy(is_metered=True)) as proxy:
        platform = Platform(Path(folder), environment={"AWS_ENDPOINT_URL": proxy.url})
        proxy.target_port = platform.stack.ports.queue
        platform.start()
        try:
            meter = Meter(platform, proxy)
            fresh(meter, "first")  # with it the bridge begins its session, which costs once
            yield meter
        finally:
            platform.stop()


def group(id: str, *participants: str) -> dict[str, Any]:
    return {"id": id, "domain": DOMAIN, "participants": list(participants)}


def fresh(meter: Meter, id: str, members: int = 5) -> None:
    meter.cost(("usersGroup.created", group(id, *(f"m{number}" for number in range(members)))))


def created(meter: Meter) -> Calls:
    return meter.cost(("usersGroup.created", group("created", *(f"m{number}" for number in range(5)))))


def created_again(meter: Meter) -> Calls:
    fresh(meter, "again")
    return meter.cost(("usersGroup.created", group("again", *(f"m{number}" for number in range(5)))))


def joined(meter: Meter) -> Calls:
    fresh(meter, "joined")
    return meter.cost(("usersGroup.participants.joined", group("joined", "new")))


def left(meter: Meter) -> Calls:
    fresh(meter, "left")
    return meter.cost(("usersGroup.participants.left", group("left", "m1")))


def deleted(meter: Meter) -> Calls:
    fresh(meter, "deleted")
    return meter.cost(("usersGroup.deleted", {"id": "deleted", "domain": DOMAIN}))


def large(meter: Meter) -> Calls:
    return meter.cost(("usersGroup.created", group("large", *(f"m{number}" for number in range(1000)))))


NIGHTS = 20
ROSTER = [f"m{number}" for number in range(500)]


def test_a_creation_costs_the_same_however_often_it_is_repeated(meter: Meter):
    """In reads, writes, requests and bytes, and so does whatever comes after it: the lists of the nights before are folded."""
    nights = []
    for _ in range(NIGHTS):
        calls = meter.cost(("usersGroup.created", group("nightly", *ROSTER)))
        nights.append((calls, meter.written))
    assert nights[1:] == [nights[1]] * (NIGHTS - 1)
    meter.cost(("usersGroup.created", group("new", *ROSTER)))
    joins = [meter.cost(("usersGroup.participants.joined", group(id, "new"))) for id in ("nightly", "new")]
    assert joins[0] == joins[1], "a group of many nights, and one of the first"
    print(f"measured a night: {nights[1][0]}, {nights[1][1]} bytes written; {joins[0]} for one more participant")


MEASURES: dict[str, Callable[[Meter], Calls]] = {
    "a group of 5 is created": created, "the same creation again": created_again, "one participant joins": joined,
    "one participant leaves": left, "a group is deleted": deleted, "a group of 1,000 is created": large,
}


def test_every_event_of_the_page_is_measured():
    assert MEASURES.keys() == EVENTS.keys() and len(EVENT_FUNCTIONS) == 10


@pytest.mark.parametrize("name", MEASURES)
def test_an_event_costs_no_more_than_the_page_says(meter: Meter, name: str):
    """Less would be welcome: then the page is to be corrected."""
    calls = MEASURES[name](meter)
    print(f"measured {name}: {calls}")
    expected = EVENTS[name]
    assert (calls.reads <= expected.reads, calls.writes <= expected.writes, calls.sends <= expected.sends) == (True,) * 3, calls
