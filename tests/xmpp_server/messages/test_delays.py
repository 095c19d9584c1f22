"""mod_sippo_delays: when a message was held back, and by whom, is said by who held it back (XEP-0203)."""

from __future__ import annotations

from support.stanzas import CLIENT, go_online, has_body, settle

DELAY = "urn:xmpp:delay"
STAMP = "2001-01-01T00:00:00Z"
OF_OTHERS = ["{domain}", "bob@{domain}", "BOB@{domain}/phone", "conference.{domain}", "mallory@{domain}", "", "@", "alice@other.example"]
OWN = [None, "alice@{domain}", "Alice@{domain}", "alice@{domain}/laptop"]


def delayed(domain: str, origin: str | None) -> str:
    """Both kinds of delay."""
    said = "" if origin is None else f" from='{origin.format(domain=domain)}'"
    return f"<delay xmlns='{DELAY}'{said} stamp='{STAMP}'/><x xmlns='jabber:x:delay'{said} stamp='20010101T00:00:00'/>"


def stamps(message) -> list[str]:
    """What the message says of when it was held back."""
    return [e.get("stamp") for e in message.iter() if e.tag in (f"{{{DELAY}}}delay", "{jabber:x:delay}x")]


def said(alice, to: str, delay: str) -> None:
    alice.send(f"<message xmlns='{CLIENT}' type='chat' id='d' to='{to}'><body>now</body>{delay}</message>")
    settle(alice)


def test_nobody_says_that_others_held_it_back(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        go_online(bob)
        said(alice, bob.bare_jid, "".join(delayed(domain, origin) for origin in OF_OTHERS))
        assert stamps(bob.wait(has_body("now"))) == []


def test_what_waits_has_the_servers_delay_alone(server, domain):
    with server.user(f"alice@{domain}") as alice:
        said(alice, f"bob@{domain}", delayed(domain, domain) + delayed(domain, f"bob@{domain}"))
    with server.user(f"bob@{domain}") as bob:
        go_online(bob)
        [stamp] = stamps(bob.wait(has_body("now")))
        assert stamp > STAMP


def test_when_they_wrote_is_the_senders_to_say(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        go_online(bob)
        said(alice, bob.bare_jid, "".join(delayed(domain, origin) for origin in OWN))
        assert len(stamps(bob.wait(has_body("now")))) == 2 * len(OWN)
