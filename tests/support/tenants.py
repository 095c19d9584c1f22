"""Whether a tenant is served."""

from __future__ import annotations

from support.prosody import Server
from support.xmpp import E, XmppError


def serves(server: Server, domain: str) -> bool:
    """Whether users log in on a domain and find its room component."""
    try:
        with server.user(f"probe@{domain}") as user:
            reply = user.iq("get", E("query", "http://jabber.org/protocol/disco#info"), to=f"conference.{domain}",
                            check=False)
            return reply.get("type") == "result"
    except XmppError:
        return False
