"""Two users side by side, as a person sees them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from console_page import ConsolePage
from support.rooms import Room

ONE, TWO, THREE = '[data-seat="1"]', '[data-seat="2"]', '[data-seat="3"]'


def person(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:6]}@example.test"


@pytest.fixture
def pair(console: Callable[..., ConsolePage]) -> tuple[ConsolePage, str, str]:
    """Two users who talk to each other."""
    page, alice, bob = console(), person("alice"), person("bob")
    page.log_in(1, alice)
    page.log_in(2, bob)
    page.talk_to(1, bob)
    page.talk_to(2, alice)
    return page, alice, bob


def test_messages_pass_with_typing_receipts_and_marks(pair: tuple[ConsolePage, str, str]):
    page, alice, _ = pair
    page.run("fill(all('.write input', within)[0], 'Hel')", within=ONE)
    page.wait_text(f"{TWO} .typing", f"{alice.split('@')[0]} types")
    page.say(1, "Hello Bob")
    page.wait_text(f"{TWO} .said.theirs .said-body", "Hello Bob")
    page.wait_text(f"{ONE} .said.mine .said-state", "read")
    page.say(2, "Hello <b>Alice</b> & co")
    page.wait_text(f"{ONE} .said.theirs .said-body", "Hello <b>Alice</b> & co")


def test_a_message_to_somebody_offline_is_sent_and_comes_when_they_log_in(console: Callable[..., ConsolePage]):
    page, alice, bob = console(), person("alice"), person("bob")
    page.log_in(1, alice)
    page.talk_to(1, bob)
    page.say(1, "For later")
    page.wait_text(f"{ONE} .said-state", "sent")
    page.log_in(2, bob)
    page.click(alice.split("@")[0], TWO)
    page.wait_text(f"{TWO} .said-body", "For later")
    page.wait_text(f"{ONE} .said-state", "read")


def test_the_chat_list_is_the_services(pair: tuple[ConsolePage, str, str]):
    page, alice, bob = pair
    page.click("Second device", ONE)
    page.wait_text(f"{THREE} .entry", bob.split("@")[0])
    page.click(f"Remove {bob} from the chat list", ONE)
    page.wait("!text(`${within} .lists ul:first-of-type .entry`).includes(name)", within=THREE, name=bob.split("@")[0])
    page.fill("Add to the chat list", "not a jid@", ONE)
    page.click("Add", ONE)
    page.wait_text(f"{ONE} [role=alert]", "JID")


def test_what_is_lost_with_a_cut_connection_comes_after_it(pair: tuple[ConsolePage, str, str]):
    page, *_ = pair
    page.click("Cut", TWO)
    page.say(1, "While it was cut")
    page.wait_text(f"{TWO} .said-body", "While it was cut")
    page.run("all('.toggle', within)[0].click()", within=TWO)
    page.wait_text(f"{TWO} .frame", "resumed")
    assert page.run("return text(`${within} .said-body`).filter((one) => one === 'While it was cut').length", within=TWO) == 1


def test_nothing_passes_while_a_connection_is_frozen(pair: tuple[ConsolePage, str, str]):
    page, *_ = pair
    page.click("Freeze", TWO)
    page.wait_text(f"{TWO} .seat-head .pill", "frozen")
    page.say(1, "While it was frozen")
    page.say(2, "From the ice")
    page.wait_text(f"{ONE} .said-state", "sent")
    assert "While it was frozen" not in page.run("return text(`${within} .said-body`)", within=TWO)
    assert "From the ice" not in page.run("return text(`${within} .said-body`)", within=ONE)
    page.click("Thaw", TWO)
    page.wait_text(f"{TWO} .said-body", "While it was frozen")
    page.wait_text(f"{ONE} .said-body", "From the ice")


def test_an_access_token_that_has_expired_is_replaced(pair: tuple[ConsolePage, str, str]):
    page, *_ = pair
    page.run("all('.toggle', within)[0].click()", within=ONE)
    page.click("Expire", ONE)
    page.wait_text(f"{ONE} .frame.rest", 'login → 401  Bearer realm="Users", error="invalid_token"')
    page.wait_text(f"{ONE} .seat-head .pill", "online")
    page.say(1, "Still here")
    page.wait_text(f"{TWO} .said-body", "Still here")


def test_a_second_device_has_the_same_conversation(pair: tuple[ConsolePage, str, str]):
    page, alice, bob = pair
    page.say(1, "From the first")
    page.wait_text(f"{TWO} .said-body", "From the first")
    page.click("Second device", ONE)
    page.wait_text(f"{THREE} .seat-head .pill", "online")
    page.click(bob.split("@")[0], THREE)
    page.wait_text(f"{THREE} .said.mine .said-body", "From the first")
    page.say(2, "To both")
    for within in (ONE, THREE):
        page.wait_text(f"{within} .said.theirs .said-body", "To both")
    page.say(3, "From the second")
    page.wait_text(f"{ONE} .said.mine .said-body", "From the second")
    page.click("Log out", THREE)
    page.wait("document.querySelector(within) === null", within=THREE)


def test_rooms_come_and_go_with_events(pair: tuple[ConsolePage, str, str], room: Room, admin):
    page, alice, bob = pair
    names = [jid.split("@")[0] for jid in (alice, bob)]
    room.create(participants=names)
    room.wait_exists(admin)
    for within in (ONE, TWO):
        page.wait("all('.entry', within).some((one) => one.title === jid)", within=within, jid=room.jid)
        page.run("all('.entry', within).find((one) => one.title === jid).click()", within=within, jid=room.jid)
        page.wait_text(f"{within} .occupants", "inside")
    page.say(1, "Hello, room")
    page.wait_text(f"{TWO} .said.theirs", "Hello, room")
    page.wait_text(f"{ONE} .said.mine .said-state", "sent")
    room.publish(room.left, room.of([names[1]]))
    page.wait_text(f"{TWO} .said.note", "removed from this room")
    room.publish(room.deleted, room.payload())
    page.wait_text(f"{ONE} .said.note", "ended")


def test_who_is_sent_nothing_sees_the_rooms_change(pair: tuple[ConsolePage, str, str], room: Room):
    """An owner who is no participant gets no invitation, and a device outside of the room no word of a kick."""
    page, alice, bob = pair
    owner, member = (jid.split("@")[0] for jid in (alice, bob))
    room.create(owner, [member])
    for within in (ONE, TWO):
        page.wait("all('.entry', within).some((one) => one.title === jid)", within=within, jid=room.jid)
    room.publish(room.left, room.of([member]))
    page.wait("all('.entry', within).every((one) => one.title !== jid)", within=TWO, jid=room.jid)


def test_stanzas_are_shown_as_they_are_but_for_the_token(pair: tuple[ConsolePage, str, str]):
    page, *_ = pair
    page.run("all('.toggle', within)[0].click()", within=ONE)
    for text in ('<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">…the login token…</auth>', "<enable ", "GET /sapi/xmpp/login → 200"):
        page.wait_text(f"{ONE} .frame", text)
    assert page.run("return text('.frame').some((one) => /eyJ/.test(one))") is False
    page.fill("Only with this text", "urn:xmpp:carbons:2", ONE)
    page.wait("all('.frame', within).length > 0 && all('.frame', within).every((one) => one.innerText.includes('carbons'))", within=ONE)


def test_a_tenant_that_is_not_served_is_told(console: Callable[..., ConsolePage]):
    page = console()
    page.fill("User", "zoe@nowhere.test", ONE)
    page.click("Log in", ONE)
    page.wait_text(f"{ONE} .notice", "host-unknown")
    page.wait_text(f"{ONE} .seat-head .pill", "offline")
