"""mod_sippo_muc_fan_out: how long a group message may be in a room of so many."""

from __future__ import annotations

from support.stanzas import answer, assert_absent, condition, configure, has_body, join, ok, send_message
from support.xmpp import STANZA_ERRORS

LIMIT = 1024 * 1024
LARGE = "x" * 200_000


def test_a_long_message_passes_in_a_small_room_only(new_server, unique_domain):
    server = new_server(extra={"FAN_OUT_LIMIT": str(LIMIT), "CLIENT_RATE": "100mb/s"}).start()
    home = server.create_host(unique_domain())
    room = f"adhoc-many@conference.{home}"
    clients = [server.user(f"u{n}@{home}") for n in range(6)]
    for n, client in enumerate(clients[:5]):
        join(client, room, f"u{n}")
        if n == 0:
            ok(configure(client, room, {}))
    send_message(clients[0], room, LARGE, "groupchat")
    for client in clients[:5]:
        client.wait(has_body(LARGE), 10)
    join(clients[5], room, "u5")
    clients[5].messages()
    refusal = answer(clients[0], send_message(clients[0], room, LARGE, "groupchat"))
    assert condition(refusal) == "policy-violation" and refusal.findtext(f".//{{{STANZA_ERRORS}}}text")
    assert_absent(clients[1], has_body(LARGE))
    send_message(clients[0], room, LARGE[:100_000], "groupchat")
    clients[5].wait(has_body(LARGE[:100_000]), 10)
