"""Rooms, processes, logs."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from console_page import ConsolePage
from support.platform import Platform
from support.rooms import Room
from support.wait import until


def test_a_room_is_shown_with_life_members_and_invitations(console: Callable[..., ConsolePage], room: Room, admin):
    page = console("rooms")
    room.create(owner="alice", participants=["bob", "carol"])
    page.wait("all('.room').some((one) => one.innerText.includes(jid))", jid=room.jid)
    page.run("all('.room').find((one) => one.innerText.includes(jid)).click()", jid=room.jid)
    page.wait("all('tbody tr').length === 3 && text('.room-head .pill').join() === 'lives,on the XMPP server'")
    rows = page.wait("all('tbody tr').every((row) => row.cells[2].innerText !== 'none') && all('tbody tr').map((row) => [...row.cells].slice(0, 4).map((cell) => cell.innerText))")
    assert rows == [["alice@example.test", "yes", "owner", "sent"], ["bob@example.test", "yes", "member", "sent"], ["carol@example.test", "yes", "member", "sent"]]
    room.publish(room.left, room.of(["bob"]))
    page.wait("all('tbody tr').some((row) => row.innerText.includes('bob@') && row.cells[1].innerText === 'no' && row.cells[2].innerText === 'none')")
    room.publish(room.deleted, room.payload())
    page.wait("text('.room-head .pill').join() === 'ended,not on the XMPP server'")


def test_who_is_inside_is_shown(console: Callable[..., ConsolePage], platform: Platform, room: Room, admin):
    room.create(participants=["dora"])
    room.wait_exists(admin)
    dora = platform.online("dora@example.test")
    dora.join_room(room.jid, "dora")
    page = console(f"rooms/{quote(room.jid, safe='')}")
    page.wait("text('.occupants').includes('dora')")


def test_a_process_that_is_killed_comes_back_and_that_is_told(console: Callable[..., ConsolePage], platform: Platform):
    page = console("system")
    names = page.run("return all('tr[data-process]').map((one) => one.dataset.process)")
    assert names == ["prosody", "epmd", "rabbitmq", "queue", "functions", "poller", "bridge"]
    assert page.run("return control('Kill queue') === undefined"), "it would lose everything"
    pid = platform.supervisor.pid("poller")
    page.click("Kill poller")
    page.wait_text(".happenings li", f"the console sent SIGKILL to process {pid}")
    page.wait_text(".happenings li", f"process {pid} ended")
    page.wait_text(".happenings li", "answers again")
    until(lambda: platform.supervisor.pid("poller") not in (None, pid), "another poller")
    page.wait("all('[data-process=poller] .pill')[0].innerText === 'up'")


def test_a_process_that_is_stopped_is_seen_and_goes_on(console: Callable[..., ConsolePage]):
    page = console("system")
    page.click("Stop bridge")
    try:
        page.wait_text("[data-process=bridge] .pill", "stopped")
        page.wait_text(".health", "bridge down or stuck")
    finally:
        page.click("Continue bridge")
    page.wait_text("[data-process=bridge] .pill", "up")


def test_plots_grow(console: Callable[..., ConsolePage]):
    page = console("system")
    assert page.run("return text('.plot-title')") == ["Events handled", "Lag, at most", "XMPP server", "Functions", "REST calls, not refused", "Waiting in queues"]
    for kind in ("server_cpu", "functions_cpu"):
        page.wait("all(`.plot.${kind} .plot-line`)[0].getAttribute('d').split('L').length > 3", kind=kind)


@pytest.mark.parametrize("program", ["functions", "bridge", "poller", "prosody", "rabbitmq"])
def test_the_log_of_each_program(console: Callable[..., ConsolePage], program: str):
    page = console("logs")
    page.click(program)
    page.wait("all('.line').length > 0 && all('.line').every((one) => one.cells[2].innerText === program)", program=program)


def test_log_lines_of_a_room_lead_to_the_event(console: Callable[..., ConsolePage], platform: Platform, room: Room, admin):
    id = room.create(participants=["bob"])
    platform.wait_handled("users-group-created")
    page = console("logs")
    page.fill("That name", room.jid)
    page.click("Find")
    page.wait_text(".line-text", "Received a new usersGroup creation")
    assert page.run("return all('.line').every((one) => one.innerText.includes(jid))", jid=room.jid)
    page.click("event", ".lines")
    page.wait("location.hash.includes(id)", id=id)
    page.wait("all('.line').some((one) => one.cells[2].innerText === 'poller')")


def test_a_name_that_nobody_has(console: Callable[..., ConsolePage]):
    page = console(f"logs/{quote('nobody-at-all@example.test', safe='')}")
    page.wait_text(".empty-title", "No line")
