"""Publishing, events' ways, dead letters, traffic."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator

import pytest

from console_page import ConsolePage
from support.platform import Platform

DAY = {"created": "usersGroup.created", "joined": "usersGroup.participants.joined", "left": "usersGroup.participants.left"}


def event(group: str, kind: str = "created", **data: object) -> str:
    return json.dumps({"specversion": "1.0", "id": "replaced", "source": "/tests", "type": DAY[kind],
                       "data": {"id": group, "domain": "example.test", "name": "A group", **data}})


@pytest.fixture
def group() -> str:
    return f"console-{uuid.uuid4().hex[:8]}"


def write(page: ConsolePage, body: str, key: str = "usersGroup.created") -> None:
    page.fill("Routing key", key)
    page.fill("Event", body)


def wait_ways(page: ConsolePage, group: str, count: int, outcome: str = "done") -> None:
    page.fill("Only with this text", group)
    page.wait("all('.event').filter((one) => one.dataset.outcome === outcome && one.innerText.includes(name)).length === count", 40,
              name=group, outcome=outcome, count=count)


def test_a_sample_is_chosen_edited_and_sent_and_its_way_is_drawn(console: Callable[..., ConsolePage], group: str):
    page = console("events")
    assert page.run("return all('#sample option').length") == 20
    page.run("fill(all('#sample')[0], 'conference-created.bare')")
    page.wait("field('Routing key').value === 'conference.created'")
    write(page, event(group, owner="alice", participants=["bob"]))
    page.click("Send once")
    wait_ways(page, group, 1)
    names = page.run("return text('.event .step-name')")
    assert names == ["broker", "bridge", "queue", "poller", "function", "room"]
    times = page.run("return text('.event .step-took')")
    assert len(times) == 5 and all(one.endswith(("ms", " s")) for one in times)
    assert page.run("return text('.event .pill')") == ["batch of 1", "not stale", "done"]
    page.click("Log", ".event")
    page.wait_text(".line-text", "Received a new usersGroup creation")
    page.wait_text(".line-text", "An event came from the broker")


def test_twice_is_a_duplicate_and_a_hundred_have_ids_of_their_own(console: Callable[..., ConsolePage], group: str):
    page = console("events")
    write(page, event(group, participants=["bob"]))
    page.click("Send twice")
    wait_ways(page, group, 2)
    assert page.run("return new Set(all('.event').map((one) => one.dataset.id)).size") == 1
    write(page, event(f"{group}-hundred", "joined", participants=["user-{n}"]), DAY["joined"])
    page.click("Send 100")
    page.wait_text(".publish [role=status]", "Published 100 events")
    page.fill("Only with this text", f"{group}-hundred")
    page.wait("all('.ways > .hint').some((one) => one.innerText.startsWith('40 earlier'))")
    page.wait("all('.event').length === 60 && all('.event').every((one) => one.dataset.outcome === 'done')", 40)
    assert page.run("return new Set(all('.event').map((one) => one.dataset.id)).size") == 60
    sizes = page.run("return text('.event .pill.link')")
    assert any(one != "batch of 1" for one in sizes), "joins are handled in batches"
    page.run("all('.event .pill.link').find((one) => one.innerText !== 'batch of 1').click()")
    page.wait("all('.ways-head .pill.link').length === 1 && new Set(text('.event .pill.link')).size === 1")


def test_a_sequence_is_sent_in_another_order(console: Callable[..., ConsolePage], group: str):
    page = console("events")
    for kind, people in (("created", ["bob"]), ("joined", ["carol"]), ("left", ["bob"])):
        write(page, event(group, kind, participants=people), DAY[kind])
        page.click("Add to sequence")
    page.wait("all('.sequence li').length === 3")
    page.click("Send in another order")
    wait_ways(page, group, 3)
    sent = page.run("return all('.event').sort((a, b) => a.querySelector('time').innerText < b.querySelector('time').innerText ? -1 : 1).map((one) => one.querySelector('strong').innerText)")
    assert sorted(sent) == sorted(DAY.values()) and sent != list(DAY.values())


def test_an_event_that_came_too_late_is_stale(console: Callable[..., ConsolePage], platform, group: str):
    """It was stamped before the room ended, and handled after."""
    old, new = platform.version(), platform.version()
    page = console("events")
    platform.deliver("usersGroup.deleted", {"id": group, "domain": "example.test"}, new)
    platform.deliver("usersGroup.created", {"id": group, "domain": "example.test", "participants": ["bob"]}, old)
    page.fill("Only with this text", group)
    page.wait("all('.event').some((one) => one.innerText.includes('usersGroup.created') || [...one.querySelectorAll('.pill')].some((pill) => pill.innerText === 'stale'))")
    page.wait_text(".event .pill.stale", "stale")


def test_a_dead_letter_tells_why_and_is_brought_back(console: Callable[..., ConsolePage], platform: Platform, group: str):
    page = console("events")
    write(page, event(group, participants=7))
    page.click("Send once")
    id = page.wait("text('.publish [role=status]').map((one) => one.match(/Published (\\S+)/)?.[1]).find(Boolean)")
    page.wait("all(`.event[data-id='${id}']`).some((one) => one.dataset.outcome === 'dead')", id=id)
    page.wait("all('nav .count').length === 1")
    page.show("queues")
    page.wait_text('[data-queue="users-group-created"] .pill', "1")
    letter = f".letter[data-id='{id}']"
    page.wait_text(f"{letter} .letter-reason", "ill-typed")
    page.click("Body", letter)
    page.wait_text(f"{letter} pre", group)
    mark = platform.mark()
    page.click("Bring back", letter)
    page.wait_text(".outcome", f"brought back {id}")
    platform.wait_log("warn", "Message goes to the dead-letter queue", since=mark)  # it is as wrong as before
    platform.wait_handled("users-group-created")
    page.wait_text(f"{letter} .letter-reason", "ill-typed")
    page.click("Delete", letter)
    page.click("Delete for good", letter)
    page.wait("all('.letter').every((one) => one.dataset.id !== id)", id=id)


@pytest.fixture
def traffic(console: Callable[..., ConsolePage]) -> Iterator[ConsolePage]:
    page = console("events")
    yield page
    if page.run("return Boolean(control('Stop traffic'))"):
        page.click("Stop traffic")


def test_random_traffic_goes_on_until_it_is_stopped(traffic: ConsolePage):
    traffic.click("Start traffic")
    traffic.fill("Only with this text", "traffic-")
    traffic.wait("all('.event').length >= 3")
    traffic.click("Stop traffic")
    traffic.wait("Boolean(control('Start traffic'))")
    traffic.show("system")
    traffic.wait("text('.plot.handled .plot-value')[0] !== undefined && all('.plot.handled .plot-line')[0].getAttribute('d').includes('L')")
    traffic.wait("text('.plot.lag .plot-value')[0].endsWith(' ms')")


def test_what_is_no_json_can_be_sent_and_is_said_to_be_wrong(console: Callable[..., ConsolePage]):
    page = console("events")
    page.fill("Event", "{")
    page.wait_text("#body-hint", "becomes a dead letter")
    page.fill("Routing key", "")
    page.click("Send once")
    page.wait_text(".publish [role=alert]", "write the routing key")
