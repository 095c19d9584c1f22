"""Stanzas and waits that the room, roster and island tests share; text in, elements out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

CLIENT = "jabber:client"
MUC = "http://jabber.org/protocol/muc"
MUC_ADMIN = f"{MUC}#admin"
MUC_OWNER = f"{MUC}#owner"
MUC_USER = f"{MUC}#user"
ROSTER = "jabber:iq:roster"
ROSTER_GROUP = "urn:quobis:sippo:roster-group:0"
MESSAGES = "urn:quobis:sippo:messages:0"
LIFE = "urn:quobis:sippo:room#life"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"

_ids = itertools.count(1)

Predicate = Callable[[ElementTree.Element], bool]


def new_id() -> str:
    return f"t{next(_ids)}"


def ask(client, kind: str, payload: str, to: str | None = None, timeout: float = 10) -> ElementTree.Element:
    """Sends an IQ and returns the answer, result or error."""
    ident = new_id()
    client.send(request(kind, payload, to, ident))
    return answer(client, ident, timeout)


def request(kind: str, payload: str, to: str | None, ident: str) -> str:
    address = f" to={quoteattr(to)}" if to else ""
    return f"<iq xmlns='{CLIENT}' type='{kind}' id='{ident}'{address}>{payload}</iq>"


def answer(client, ident: str, timeout: float = 10) -> ElementTree.Element:
    """The answer to the stanza with this id: an error of any kind, or an IQ result."""
    return client.wait(lambda e: e.get("id") == ident and e.get("type") in ("result", "error"), timeout)


def ok(reply: ElementTree.Element) -> ElementTree.Element:
    assert reply.get("type") == "result", ElementTree.tostring(reply)
    return reply


def condition(reply: ElementTree.Element) -> str:
    """Defined condition of an error stanza (RFC 6120, section 8.3.3), without its namespace."""
    assert reply.get("type") == "error", ElementTree.tostring(reply)
    for child in reply.find(f"{{{CLIENT}}}error"):
        name = child.tag.removeprefix(f"{{{STANZA_ERRORS}}}")
        if name not in (child.tag, "text"):
            return name
    raise AssertionError(f"no condition in {ElementTree.tostring(reply)!r}")


def error_shape(reply: ElementTree.Element) -> str:
    """All that an error tells, apart from the addresses and the id that the sender chose."""
    assert reply.get("type") == "error", ElementTree.tostring(reply)
    return ElementTree.tostring(reply.find(f"{{{CLIENT}}}error")).decode()


def settle(client) -> None:
    """Returns once the server has handled all that this client sent before."""
    ask(client, "get", "<ping xmlns='urn:xmpp:ping'/>")


def assert_absent(client, unwanted: Predicate) -> None:
    """Nothing `unwanted` has reached the client by now: a ping's answer comes after all that did."""
    ident = new_id()
    client.send(request("get", "<ping xmlns='urn:xmpp:ping'/>", None, ident))
    first = client.wait(lambda e: unwanted(e) or (e.get("id") == ident and e.get("type") == "result"), 10)
    assert not unwanted(first), ElementTree.tostring(first)


def go_online(client, priority: int = 0) -> None:
    """Sends an available presence and waits for its reflection."""
    client.send(f"<presence xmlns='{CLIENT}'><priority>{priority}</priority></presence>")
    settle(client)


def send_message(client, to: str, body: str, kind: str = "chat") -> str:
    ident = new_id()
    client.send(
        f"<message xmlns='{CLIENT}' id='{ident}' type='{kind}' to={quoteattr(to)}><body>{body}</body></message>"
    )
    return ident


def has_body(text: str) -> Predicate:
    return lambda e: e.tag == f"{{{CLIENT}}}message" and e.get("type") != "error" and e.findtext(f"{{{CLIENT}}}body") == text


def mentions(text: str) -> Predicate:
    return lambda e: e.get("type") != "error" and text in ElementTree.tostring(e, encoding="unicode")


# Several messages in one request (mod_sippo_message_batch) ---------------------------


def messages_to(*users: str) -> str:
    """A message `for <name>` to each, whose id is the JID."""
    return "".join(
        f"<message xmlns='{CLIENT}' id={quoteattr(user)} to={quoteattr(user)}><body>for {user.split('@')[0]}</body></message>"
        for user in users)


def deliver(admin, domain: str, *users: str, attributes: str = "") -> ElementTree.Element:
    """Sends all of them in one request; returns its answer."""
    payload = f"<messages xmlns='{MESSAGES}' {attributes}>{messages_to(*users)}</messages>"
    return ask(admin, "set", payload, f"conference.{domain}", 30)


def bounced(reply: ElementTree.Element) -> dict[str, str]:
    """Ids and conditions of those that the answer to `deliver` names."""
    found = ok(reply).iterfind(f"{{{MESSAGES}}}messages/{{{MESSAGES}}}refused")
    return {one.get("id"): one[0].tag.removeprefix(f"{{{STANZA_ERRORS}}}") for one in found}


# Rooms ------------------------------------------------------------------------


def join(client, room: str, nick: str, timeout: float = 10) -> ElementTree.Element:
    """Enters (or makes) a room; returns the self-presence (status 110) or the error."""
    client.send(f"<presence xmlns='{CLIENT}' to={quoteattr(f'{room}/{nick}')}><x xmlns='{MUC}'/></presence>")

    def mine(e: ElementTree.Element) -> bool:
        if e.tag != f"{{{CLIENT}}}presence" or (e.get("from") or "").split("/")[0] != room:
            return False
        return e.get("type") == "error" or (e.get("type") is None and "110" in statuses(e))

    return client.wait(mine, timeout)


def leave(client, room: str, nick: str) -> None:
    client.send(f"<presence xmlns='{CLIENT}' type='unavailable' to={quoteattr(f'{room}/{nick}')}/>")


def statuses(presence: ElementTree.Element) -> set[str]:
    return {s.get("code") for s in presence.iterfind(f"{{{MUC_USER}}}x/{{{MUC_USER}}}status")}


def create_room(admin, room: str, life: str | None = None, **fields: str) -> None:
    """What the service does: enter, configure, leave."""
    joined = join(admin, room, "service")
    assert joined.get("type") is None, ElementTree.tostring(joined)
    if life is not None:
        fields[LIFE] = life
    ok(configure(admin, room, fields))
    leave(admin, room, "service")
    settle(admin)


def configure(client, room: str, fields: dict[str, str]) -> ElementTree.Element:
    form = "".join(f"<field var={quoteattr(var)}><value>{value}</value></field>" for var, value in fields.items())
    kind = "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
    return ask(
        client, "set", f"<query xmlns='{MUC_OWNER}'><x xmlns='jabber:x:data' type='submit'>{kind}{form}</x></query>", room
    )


def configuration(client, room: str) -> dict[str, str]:
    """Field names and values of the configuration form as this client sees it."""
    reply = ok(ask(client, "get", f"<query xmlns='{MUC_OWNER}'/>", room))
    return {f.get("var"): f.findtext("{*}value") or "" for f in reply.iterfind(".//{jabber:x:data}field") if f.get("var")}


def affiliate(client, room: str, *changes: tuple[str, str]) -> ElementTree.Element:
    items = "".join(f"<item affiliation={quoteattr(how)} jid={quoteattr(jid)}/>" for jid, how in changes)
    return ask(client, "set", f"<query xmlns='{MUC_ADMIN}'>{items}</query>", room, 60)


def affiliated(client, room: str, affiliation: str) -> set[str]:
    reply = ok(ask(client, "get", f"<query xmlns='{MUC_ADMIN}'><item affiliation='{affiliation}'/></query>", room, 60))
    return {item.get("jid") for item in reply.iterfind(f".//{{{MUC_ADMIN}}}item")}


def room_features(client, room: str) -> set[str]:
    reply = ok(ask(client, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", room))
    return {f.get("var") for f in reply.iterfind(".//{*}feature")}


def archived_bodies(client, address: str) -> list[str]:
    """The first 50 bodies in an archive (XEP-0313), oldest first; AssertionError when the query is refused."""
    ident = new_id()
    page = "<set xmlns='http://jabber.org/protocol/rsm'><max>50</max></set>"
    client.send(request("set", f"<query xmlns='urn:xmpp:mam:2' queryid='{ident}'>{page}</query>", address, ident))
    bodies: list[str] = []
    while True:
        e = client.wait(
            lambda e: e.get("id") == ident or e.find(f"{{urn:xmpp:mam:2}}result[@queryid='{ident}']") is not None, 10
        )
        if e.get("id") == ident:
            ok(e)
            return bodies
        bodies.append(e.findtext(".//{*}forwarded/{*}message/{*}body") or "")
