"""PostgreSQL is asked no more often than it must be (mod_sippo_postgresql), and gets the same as SQLite."""

from __future__ import annotations

import pytest

from support.stanzas import affiliate, affiliated, ask, create_room, ok

DOMAIN = "asked.example"
ROOM = f"group@conference.{DOMAIN}"
MEMBERS = 230
"""So many that their rows need statements of each size."""


@pytest.fixture
def asked(postgresql, new_server):
    server = new_server(storage=postgresql.url, extra={"STORAGE_PASSWORD": postgresql.password}).start()
    server.create_host(DOMAIN)
    return server


def test_a_room_is_saved_with_few_statements(asked, postgresql):
    members = {f"m{n}@{DOMAIN}" for n in range(MEMBERS)}
    with asked.admin() as admin:
        create_room(admin, ROOM, life="1.1/x")
        ok(affiliate(admin, ROOM, *((jid, "member") for jid in members)))
        with postgresql.statements() as found:
            ok(affiliate(admin, ROOM, (f"one-more@{DOMAIN}", "member")))
        members.add(f"one-more@{DOMAIN}")
        assert 2 < len([one for one in found if one.startswith("INSERT")]) < 30, found
        assert len(found) < 60, found
    asked.restart()
    with asked.admin() as admin:
        assert affiliated(admin, ROOM, "member") == members


def test_a_select_stays_prepared(asked, postgresql):
    with asked.user(f"alice@{DOMAIN}") as alice:
        for number in range(2):
            with postgresql.statements() as found:
                ok(ask(alice, "get", "<query xmlns='jabber:iq:roster'/>"))
                alice.message(f"bob@{DOMAIN}", f"number {number}")
                alice.sync()
    assert any(one.startswith("SELECT") for one in found)
    assert not any(one.startswith("DEALLOCATE") for one in found), found


@pytest.mark.provokes("disk trouble", "Could not save")
def test_what_fails_late_fails_its_transaction(asked):
    """A row that waits for others is refused when the function that stores it returns, and takes all the others with it."""
    with asked.admin() as admin:
        create_room(admin, ROOM, life="1.1/x")
        ok(affiliate(admin, ROOM, (f"alice@{DOMAIN}", "member")))
        with asked.disk_trouble("prosody", f"NEW.\"key\"='bob@{DOMAIN}'"):
            assert affiliate(admin, ROOM, (f"bob@{DOMAIN}", "member"), (f"carol@{DOMAIN}", "member")).get("type") == "error"
        with asked.database() as database:
            rows = database.execute("SELECT \"key\" FROM prosody WHERE \"user\"='group' AND store='config' AND \"key\" LIKE '%@%'")
            assert rows.fetchall() == [(f"alice@{DOMAIN}",)]
        ok(affiliate(admin, ROOM, (f"bob@{DOMAIN}", "member")))
    asked.restart()
    with asked.admin() as admin:
        assert affiliated(admin, ROOM, "member") == {f"{name}@{DOMAIN}" for name in ("alice", "bob", "carol")}
