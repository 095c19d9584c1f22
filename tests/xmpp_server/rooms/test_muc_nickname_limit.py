"""mod_sippo_muc_nickname_limit: in how many rooms one user has a nickname registered (XEP-0045, section 7.10)."""

from __future__ import annotations

from support.stanzas import affiliate, ask, condition, configure, join, ok
from support.xmpp import STANZA_ERRORS

LIMIT = 2
REGISTER = "jabber:iq:register"
FORM = "http://jabber.org/protocol/muc#register"


def register(client, room: str, nick: str):
    form = (f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{FORM}</value></field>"
            f"<field var='muc#register_roomnick'><value>{nick}</value></field></x>")
    return ask(client, "set", f"<query xmlns='{REGISTER}'>{form}</query>", room)


def test_registered_nicknames_of_one_user(new_server, unique_domain):
    server = new_server(extra={"NICKNAME_LIMIT": str(LIMIT)}).start()
    home = server.create_host(unique_domain())
    rooms = [f"adhoc-{n}@conference.{home}" for n in range(LIMIT + 1)]
    with server.user(f"alice@{home}") as alice, server.user(f"bob@{home}") as bob:
        for room in rooms:
            join(bob, room, "bob")
            ok(configure(bob, room, {"muc#roomconfig_persistentroom": "1"}))
            ok(affiliate(bob, room, (f"alice@{home}", "member")))
        for room in rooms[:LIMIT]:
            ok(register(alice, room, "alice"))
        refusal = register(alice, rooms[LIMIT], "alice")
        assert condition(refusal) == "resource-constraint" and refusal.findtext(f".//{{{STANZA_ERRORS}}}text")
        ok(register(alice, rooms[0], "alice2"))  # another name in a room where there is one
        ok(register(bob, rooms[LIMIT], "bob"))
        ok(ask(alice, "set", f"<query xmlns='{REGISTER}'><remove/></query>", rooms[0]))
        ok(register(alice, rooms[LIMIT], "alice"))
        ok(affiliate(bob, rooms[0], (f"alice@{home}", "member")))
        assert condition(register(alice, rooms[0], "alice")) == "resource-constraint"
