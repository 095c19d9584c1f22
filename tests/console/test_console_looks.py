"""What everybody can use: contrast, names, keyboard, small windows; and what is shown when there is nothing, or trouble."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from console_page import ConsolePage
from support import node_packages
from support.platform import Platform
from support.wait import until

VIEWS = ("chat", "events", "rooms", "queues", "system", "logs")


def violations(page: ConsolePage) -> list[str]:
    """What axe-core finds."""
    if not page.run("return Boolean(window.axe)"):
        page.page.command("Runtime.evaluate", expression=node_packages.text("axe-core/axe.min.js"))
    found = page.run("const { violations } = await axe.run(document); return violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`)", timeout=60)
    return found


@pytest.fixture
def busy(console: Callable[..., ConsolePage], platform: Platform) -> ConsolePage:
    """A console with something in every view."""
    page = console()
    page.log_in(1, "ann@example.test")
    page.log_in(2, "ben@example.test")
    page.talk_to(1, "ben@example.test")
    page.talk_to(2, "ann@example.test")
    page.say(1, "Hello")
    page.wait_text('[data-seat="2"] .said-body', "Hello")
    page.run("all('.toggle')[0].click()")
    platform.publish("usersGroup.created", {"id": "looks", "domain": "example.test", "name": "Looks", "participants": ["ann"]})
    platform.publish("usersGroup.created", {"id": "looks", "domain": 7})
    page.show("queues").wait("all('.letter').length > 0")
    return page


@pytest.mark.timeout(600)  # npm may have to install first
def test_axe_finds_nothing(busy: ConsolePage):
    found: list[str] = []
    for view in VIEWS:
        busy.show({"rooms": "rooms/looks%40conference.example.test", "logs": "logs/:functions"}.get(view, view))
        busy.wait("all('.loading').length === 0")
        # Contrast hangs on the colours, the order of things on the width: two runs see both.
        for width, height, is_dark in ((1280, 800, False), (390, 844, True)):
            busy.look(width, height, is_dark)
            found += [f"{view}, {width} wide, {'dark' if is_dark else 'light'}: {one}" for one in violations(busy)]
    assert not found, "\n".join(found)


def test_nothing_is_wider_than_the_window(busy: ConsolePage):
    for view in VIEWS:
        busy.show({"rooms": "rooms/looks%40conference.example.test", "logs": "logs/:functions"}.get(view, view))
        for width, height in ((1280, 800), (390, 844)):
            busy.look(width, height)
            assert busy.run("return document.documentElement.scrollWidth") <= width, (view, width)


def test_a_keyboard_is_enough(console: Callable[..., ConsolePage]):
    page = console()

    def focused() -> str:
        return page.run("return nameOf(document.activeElement) || document.activeElement.id")

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.press("Tab")
            if focused() == name:
                assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid", "one sees where one is"
                return
        raise AssertionError(f"{name} cannot be reached with the keyboard")

    page.press("Tab")
    assert focused() == "Skip to the content"
    page.press("Enter", text="\r")
    until(lambda: page.run("return document.activeElement.id") == "main", "the content to have the focus")
    tab_to("Log in")
    page.press("Enter", text="\r")
    page.wait_text('[data-seat="1"] .seat-head .pill', "online")
    tab_to("Second device")
    page.press(" ", "Space", " ")
    page.wait_text('[data-seat="3"] .seat-head .pill', "online")
    page.run("document.querySelector('.skip').focus()")
    tab_to("Events")
    page.press("Enter", text="\r")
    page.wait("all('main.view-events').length === 1")


def test_colours_are_the_systems_until_one_chooses(console: Callable[..., ConsolePage]):
    page = console(is_dark=True)
    ground = "return getComputedStyle(document.body).backgroundColor"
    dark = page.run(ground)
    page.look(1280, 800, is_dark=False)
    light = page.run(ground)
    assert dark != light
    page.click("Colours: system; change to light")
    page.look(1280, 800, is_dark=True)
    assert page.run(ground) == light
    page.click("Colours: light; change to dark")
    page.look(1280, 800, is_dark=False)
    assert page.run(ground) == dark


def test_what_is_empty_says_what_to_do(console: Callable[..., ConsolePage]):
    page = console()
    page.log_in(1, "newcomer@example.test")
    for text in ("No conversation is open", "Nobody yet", "None yet"):
        page.wait_text('[data-seat="1"]', text)
    page.show("rooms").wait_text(".empty-title", "No room is chosen")
    page.show("logs").wait_text(".empty-title", "Nothing is looked for")


def test_without_the_key_it_says_where_to_find_it(console: Callable[..., ConsolePage]):
    page = console()
    page.run("sessionStorage.clear()")
    for url in (page.url.partition("#")[0] + "?again", page.url.partition("#")[0] + "#key=another"):
        page.open(url)
        page.wait_text("[role=alert]", "scripts/run prints")


def test_a_console_that_is_gone_is_told_and_found_again(console: Callable[..., ConsolePage], platform: Platform):
    page = console("queues")
    process = platform.supervisor._children["console"].process
    platform.supervisor.stop_one("console")
    try:
        page.wait("text('[role=alert]').some((one) => one.includes('does not answer')) && all('.health.bad').length === 1")
    finally:
        platform.supervisor.start(process)
    page.wait("text('.health')[0] === 'all is up'")


def test_a_queue_that_does_not_answer_is_told(console: Callable[..., ConsolePage], platform: Platform):
    page = console("queues")
    pid = platform.supervisor.pid("rabbitmq")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        page.wait_text("[role=alert]", "message broker does not answer", 60)
    finally:
        os.kill(pid, signal.SIGCONT)
    page.wait("all('[role=alert]').length === 0", 60)
