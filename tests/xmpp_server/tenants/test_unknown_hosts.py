"""mod_sippo_unknown_hosts: why nobody of a domain can log in is in the log, and nobody fills the log with it."""

from __future__ import annotations

import re

import pytest

from support.wait import until
from support.xmpp import XmppError

MOST = 30


def refused(server, domain: str) -> None:
    with pytest.raises(XmppError) as failure:
        server.client(f"alice@{domain}", "x").open()
    assert failure.value.condition == "host-unknown"


def lines(server) -> list[str]:
    return [line for line in server.log_text().splitlines() if "Stream to " in line]


def test_a_domain_that_is_not_served_is_named_with_what_to_do(new_server):
    server = new_server().start()
    tenant = server.create_host("a.example")
    refused(server, "nowhere.example")
    refused(server, f"conference.{tenant}")
    refused(server, "two\nlines.example")
    until(lambda: len(lines(server)) >= 3, "three lines")
    first, second, third = lines(server)
    assert re.search(r"warn\tStream to nowhere\.example refused: .*publish domain\.created.*client 127\.0\.0\.1\)", first), first
    assert f"Stream to conference.{tenant} refused" in second
    assert "Stream to two?lines.example refused" in third
    with server.user(f"alice@{tenant}"):
        pass
    assert len(lines(server)) == 3


def test_who_asks_again_and_again_fills_no_log(new_server):
    server = new_server().start()
    for number in range(MOST + 20):
        refused(server, f"n{number}.example")
    assert MOST <= len(lines(server)) <= 2 * MOST  # of two minutes, where one ended meanwhile
    assert len(lines(server)) < MOST + 20 or "left out" in server.log_text()
