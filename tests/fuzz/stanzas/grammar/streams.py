"""Streams: WebSocket frames (RFC 6455), XMPP framing (RFC 7395), logins (RFC 6120, XEP-0388), stream management (XEP-0198)."""

from __future__ import annotations

from typing import Any

from fuzz.stanzas.dice import Dice
from fuzz.stanzas.grammar.expand import Productions, expand
from fuzz.stanzas.places import HOME, OTHER

SM, SASL, SASL2 = "urn:xmpp:sm:3", "urn:ietf:params:xml:ns:xmpp-sasl", "urn:xmpp:sasl:2"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
OPEN = f"<open xmlns='{FRAMING}' to='{HOME}' version='1.0'/>"
BIND = "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"

ELEMENTS = [
    *[f"<r xmlns='{SM}'/>"] * 3, f"<a xmlns='{SM}' h='{{n}}'/>", f"<a xmlns='{SM}'/>",
        f"<enable xmlns='{SM}' resume='{{bool}}' max='{{n}}'/>", f"<enable xmlns='urn:xmpp:sm:2'/>",
    f"<resume xmlns='{SM}' previd='{{text}}' h='{{n}}'/>", f"<resume xmlns='{SM}' h='{{n}}'/>",
    f"<resumed xmlns='{SM}' h='{{n}}'/>", f"<failed xmlns='{SM}'/>",
    f"<resume xmlns='{SM}' previd='%previd%' h='{{n}}'/>", f"<open xmlns='{FRAMING}' to='{{host}}' version='1.0'/>",
    f"<auth xmlns='{SASL}' mechanism='PLAIN'>%plain%</auth>",
    f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'><initial-response>%plain%</initial-response></authenticate>",
    "<token xmlns='urn:x'>%token%</token>", "<token xmlns='urn:x' to='{jid}'>{text}</token>",
    f"<response xmlns='{SASL}'>{{b64}}</response>", f"<abort xmlns='{SASL}'/>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<features xmlns='http://etherx.jabber.org/streams'/>",
    "<error xmlns='http://etherx.jabber.org/streams'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>",
    "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>",
    "<query xmlns='jabber:client' token='%token%'/>", "<message xmlns='jabber:server' to='{jid}'/>",
    "<iq xmlns='{urn}' type='get' id='x'/>", "<stream xmlns='http://etherx.jabber.org/streams'/>",
    "<message xmlns='jabber:client' to='{jid}'><body>&#1;</body></message>", "<!DOCTYPE x><x xmlns='urn:x'/>",
    "<?xml version='1.0'?><x xmlns='urn:x'/>", "<!-- c --><x xmlns='urn:x'/>", "", " ", "text", "<", "</x>",
    "<x:x xmlns:x='jabber:client'/>", "<message xmlns='jabber:client'><body><![CDATA[x]]></body></message>",
    "<message xmlns='jabber:client' to='{jid}' to='{jid}'/>", "<x xmlns='urn:x'/><y xmlns='urn:x'/>",
    "<message xmlns='jabber:client' to='{jid}'><body>&forged;</body></message>",
    "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><x>&b;</x>", "{deep}", "{wide}",
]
"""Beside stanzas. Many of them end the stream."""

LOGINS = [
    f"<auth xmlns='{SASL}' mechanism='{{mechanism}}'>{{credentials}}</auth>",
    f"<auth xmlns='{SASL}' mechanism='PLAIN'>{{credentials}}</auth>",
    f"<auth xmlns='{SASL}' mechanism='PLAIN' to='{{host}}'>{{credentials}}</auth>",
    f"<auth xmlns='{SASL}'>{{credentials}}</auth>", f"<auth xmlns='{SASL}' mechanism='PLAIN'/>",
    f"<response xmlns='{SASL}'>{{credentials}}</response>", f"<abort xmlns='{SASL}'/>",
    f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'><initial-response>{{credentials}}</initial-response>"
        f"<user-agent><software>{{text}}</software></user-agent></authenticate>",
    f"<authenticate xmlns='{SASL2}' mechanism='{{mechanism}}'><initial-response>{{credentials}}</initial-response>"
        f"<bind xmlns='urn:xmpp:bind:0'><tag>{{text}}</tag></bind></authenticate>",
    f"<auth xmlns='urn:x' token='%token%'>{{credentials}}</auth>", BIND,
    f"<resume xmlns='{SM}' previd='%previd%' h='{{n}}'/>", f"<resume xmlns='{SM}' previd='{{text}}' h='{{n}}'/>",
    f"<enable xmlns='{SM}' resume='true'/>", f"<r xmlns='{SM}'/>",
    f"<a xmlns='{SM}' h='{{n}}'/>", "<message xmlns='jabber:client' to='{jid}'><body>{mark}</body></message>",
    "<presence xmlns='jabber:client'{to_any}/>", OPEN, f"<open xmlns='{FRAMING}' to='{{host}}' version='{{n}}'/>",
    f"<open xmlns='{FRAMING}'/>",
    f"<close xmlns='{FRAMING}'/>", "<iq xmlns='jabber:client' type='set' id='l{n}'{to_any}>{private_element}</iq>",
    "<iq xmlns='jabber:client' type='get' id='l{n}'><query xmlns='jabber:iq:auth'><username>{text}</username></query></iq>",
    "<iq xmlns='jabber:client' type='set' id='l{n}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        "<resource>{text}</resource></bind></iq>", "{deep}", "<x xmlns='urn:x'>%token%</x>",
    "<stream xmlns='http://etherx.jabber.org/streams' to='home.example'/>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<message xmlns='jabber:client'>{deep}</message>",
    "<x xmlns='urn:x'>{text}</x>",
]
GOOD_LOGIN = f"<auth xmlns='{SASL}' mechanism='PLAIN'>%plain%</auth>"

PRODUCTIONS = {
    "mechanism": ["PLAIN", "SCRAM-SHA-1", "ANONYMOUS", "EXTERNAL", "OAUTHBEARER", "DIGEST-MD5", "plain", "X-TOKEN", "{text}"],
    "credentials": ["%plain%", "%expired%", "%crossed%", "%admin%", "%guess%", "=", "", "{b64}", "%token%", "AAAA", "AGV2ZQA="],
}


def resumption(dice: Dice, productions: Productions) -> dict[str, Any]:
    """How a lost session comes back: `h` is what was received, or something else."""
    how = dice.random()
    template = "" if how < 0.7 else dice.choice([f"<resume xmlns='{SM}' previd='%previd%' h='{{n}}'/>",
        f"<resume xmlns='{SM}' previd='%previd%'/>",
                                                 f"<resume xmlns='{SM}' previd='{{text}}' h='{{n}}'/>",
                                                 f"<resume xmlns='{SM}'/>"])
    return {"resume": how < 0.9, "element": expand(template, dice, productions)}


def unusual_frames(dice: Dice, text: str) -> dict[str, Any]:
    """A message in frames that are unusual and right, or of which one is wrong."""
    parts = pieces(text, dice.choice([1, 3, 50, 1000]) if len(text) < 2000 else dice.choice([1000, 60_000]))
    if dice.chance(0.4):
        return {"right": True, "text": text, "frames": dice.choice([parts, parts, with_pings(parts), [{"payload": "p" * 125,
            "opcode": 9}, *parts]])}
    whole, size = {"payload": text}, len(text.encode())
    return {"right": False, "text": "", "frames": dice.choice([
        [whole | {"masked": False}], [whole | {"reserved": dice.randrange(1, 8)}], [whole | {"opcode": dice.choice([0, 2, 3,
            7, 11, 15])}],
        [whole | {"length": max(0, size + dice.choice([-1, 1, 1 << 20, 1 << 40]))}], [whole | {"length": (1 << 63) + 5}],
        [{"payload": "x" * 126, "opcode": 9}], [{"payload": "\x03\xe8bye", "opcode": 8, "latin": True}],
        [{"payload": dice.choice(["", "\x03", "\x00\x01", "\xff\xff" + "x" * 123]), "opcode": 8, "latin": True}],
        parts[:1] + [whole], [part | {"opcode": 0} for part in parts[:5]], [part | {"opcode": 1} for part in parts[:5]],
        [{"payload": "x", "opcode": 9, "fin": False}], [{"payload": "\xff\xfe<x/>", "latin": True}],
        [{"payload": "", "fin": False}, *[{"payload": "", "opcode": 0, "fin": False}] * 3000],
        [{"payload": "<message>", "fin": False}, *[{"payload": "y" * 60_000, "opcode": 0, "fin": False}] * 12],
    ])}


def pieces(text: str, size: int) -> list[dict[str, Any]]:
    """A message in fragments (RFC 6455, section 5.4)."""
    size = max(size, len(text) // 3000)
    found = [{"payload": text[at:at + size], "opcode": 1 if at == 0 else 0, "fin": at + size >= len(text)} for at in range(0,
        len(text), size)]
    return found or [{"payload": ""}]


def with_pings(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Control frames may come between fragments."""
    return [frame for part in parts for frame in (part, {"payload": "p", "opcode": 9})][:-1]


def login(dice: Dice, productions: Productions) -> dict[str, Any]:
    """A connection that logs in by itself, more or less: what it sends, one message after the other."""
    frames = [] if dice.chance(0.1) else [OPEN.replace(HOME, dice.choice([HOME, HOME, HOME, OTHER, "admin.internal",
        "nowhere.example"]))]
    if dice.chance(0.3):
        frames += [GOOD_LOGIN, OPEN]
    if frames[-1:] == [OPEN] and len(frames) > 1 and dice.chance(0.5):
        frames += [BIND]
    frames += [dice.choice(LOGINS) for _ in range(dice.randrange(1, 6))]
    return {"frames": [expand(frame, dice, productions) for frame in frames], "at_once": dice.chance(0.3)}
