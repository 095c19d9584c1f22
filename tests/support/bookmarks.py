"""Bookmarks (XEP-0402) as their owner sees them, and the rooms of a user as the service reads them."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from support.stanzas import ask, ok, settle
from support.xmpp import CLIENT, Element

NODE = "urn:xmpp:bookmarks:1"
MARK = "urn:quobis:sippo:bookmark:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
EVENT = f"{PUBSUB}#event"


def bookmarks(client, to: str | None = None) -> dict[str, Element]:
    """The session's own bookmarks by the room's JID; each a `conference` element."""
    reply = ask(client, "get", f"<pubsub xmlns='{PUBSUB}'><items node='{NODE}'/></pubsub>", to)
    if reply.get("type") == "error":
        assert reply.find(".//{*}item-not-found") is not None, "the bookmarks cannot be read"
        return {}
    found: dict[str, Element] = {}
    for item in reply.iter(f"{{{PUBSUB}}}item"):
        conference = item.find(f"{{{NODE}}}conference")
        assert conference is not None
        found[item.get("id") or ""] = conference
    return found


def mark(conference: Element) -> dict[str, str] | None:
    """What the service says of a room in its bookmark: kind, affiliation, name; None of a bookmark of the user's own."""
    found = conference.find(f"{{{NODE}}}extensions/{{{MARK}}}room")
    return None if found is None else dict(found.attrib)


def rooms_of(admin, user: str) -> dict[str, dict[str, str]]:
    """The rooms that a user belongs to, as the service asks for them."""
    reply = ok(ask(admin, "get", f"<rooms xmlns='{MARK}'/>", user))
    all_of_them = [dict(room.attrib) for room in reply.iter(f"{{{MARK}}}room")]
    return {one.pop("jid"): one for one in all_of_them}


def publish(client, room: str, inner: str = "", options: str = "", **attributes: str) -> Element:
    """Publishes a bookmark; the answer."""
    text = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    item = f"<item id={quoteattr(room)}><conference xmlns='{NODE}'{text}>{inner}</conference></item>"
    return ask(client, "set", f"<pubsub xmlns='{PUBSUB}'><publish node='{NODE}'>{item}</publish>{options}</pubsub>")


def retract(client, room: str) -> Element:
    """Retracts a bookmark; the answer."""
    item = f"<retract node='{NODE}' notify='true'><item id={quoteattr(room)}/></retract>"
    return ask(client, "set", f"<pubsub xmlns='{PUBSUB}'>{item}</pubsub>")


def listen(client, node: str = NODE) -> None:
    """Goes online as a client that wants to know of changes of its bookmarks (XEP-0163, section 4)."""
    caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:test' ver='changes of " + node + "'/>"
    client.send(f"<presence xmlns='{CLIENT}'>{caps}</presence>")
    query = client.wait(lambda e: e.tag == f"{{{CLIENT}}}iq" and e.get("type") == "get"
                        and e.find("{http://jabber.org/protocol/disco#info}query") is not None)
    client.send(f"<iq xmlns='{CLIENT}' type='result' id={quoteattr(query.get('id'))} to={quoteattr(query.get('from'))}>"
                "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='web'/>"
                f"<feature var='{node}+notify'/></query></iq>")
    settle(client)


def is_bookmarked(room: str):
    """A notification that a room is bookmarked, or that its bookmark has changed."""
    return lambda e: e.find(f"{{{EVENT}}}event/{{{EVENT}}}items[@node='{NODE}']/{{{EVENT}}}item[@id='{room}']") is not None


def is_gone(room: str):
    """A notification that a room's bookmark has gone."""
    return lambda e: e.find(f"{{{EVENT}}}event/{{{EVENT}}}items[@node='{NODE}']/{{{EVENT}}}retract[@id='{room}']") is not None
