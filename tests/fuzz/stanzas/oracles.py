"""What must hold of every frame that a client receives.

    secret      nobody sees what another tenant, or a neighbour, keeps for themselves, nor the service's address
    form        each frame is one XML element, for this session, and an error has the form of one (RFC 6120, section 8.3)
    throw       no module of the server has failed
    forged      what only the server or a room may say is not relayed as theirs: ids in archives (XEP-0359), muc#user
    sender      what somebody wrote comes from them, and nobody goes by a neighbour's name
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from fuzz.stanzas.findings import Findings
from fuzz.stanzas.places import ACTORS, CAROL, FORGED, HOME, ROOMS, TEAM, name
from support.xmpp import CLIENT, MUC_USER, STANZA_ERRORS, STREAMS, body, local, namespace

SID, MAM, FORWARD = "urn:xmpp:sid:0", "urn:xmpp:mam:2", "urn:xmpp:forward:0"
ERROR_TYPES = {"auth", "cancel", "continue", "modify", "wait"}
MARK = re.compile(r"mark-([0-9]+)-([a-z0-9]+)\.")
NEIGHBOURS = {name(jid) for jid, _ in ACTORS.values()} | {name(CAROL)}


def plain(text: str) -> str:
    """A frame's beginning, its attributes in order, so that the same looks the same."""
    return ET.canonicalize(text, exclude_attrs=["id", "stamp"])[:800]


class Inspector:
    """Looks at what one client receives."""

    def __init__(self, findings: Findings, bare_jid: str, resource: str, secrets: list[str]) -> None:
        self.findings, self.bare_jid, self.full_jid, self.secrets = findings, bare_jid, f"{bare_jid}/{resource}", secrets

    def look(self, text: str) -> ET.Element | None:
        """The frame's element, None where it is none."""
        self.look_for_secrets(text, f"{self.full_jid} received")
        try:
            element = ET.fromstring(text)
        except ET.ParseError as error:
            self.note("form", f"no XML ({error}): {text[:500]}")
            return None
        if namespace(element) == CLIENT:
            self._stanza(element, text)
        elif element.tag == f"{{{STREAMS}}}error" and element.find("{*}internal-server-error") is not None:
            self.note("throw", plain(text))
        return element

    def look_for_secrets(self, text: str, where: str) -> None:
        """The oracle `secret`, of text of any kind."""
        for secret in self.secrets:
            if secret in text:
                at = text.index(secret)
                self.note("secret", f"{where} {secret.partition('-')[0]}: …{text[max(0, at - 300):at + 100]}…")

    def note(self, oracle: str, what: str) -> None:
        self.findings.add(oracle, what)

    def _stanza(self, stanza: ET.Element, text: str) -> None:
        if local(stanza) not in ("message", "presence", "iq"):
            return self.note("form", f"no stanza: {plain(text)}")
        to = stanza.get("to")
        # A resource that is away has its messages taken by others; an early error goes back to the `from` that its sender
        # made up.
        early = stanza.get("type") == "error" and "/" not in (stanza.get("from") or "")
        if to is not None and to.partition("/")[0] != self.bare_jid and not early:
            self.note("form", f"{self.full_jid} got what is for {to}: {plain(text)}")
        if stanza.get("type") == "error":
            self._error(stanza, text)
        elif local(stanza) == "message":
            self._message(stanza, text)
        elif local(stanza) == "presence":
            self._presence(stanza, text)

    # An error that another client made up comes from an address with a resource.
    def _error(self, stanza: ET.Element, text: str) -> None:
        if "/" in (stanza.get("from") or ""):
            return
        errors = stanza.findall(f"{{{CLIENT}}}error")
        conditions = [local(one) for error in errors for one in error if namespace(one) == STANZA_ERRORS and local(one) != "text"]
        if len(errors) != 1 or len(conditions) != 1 or errors[0].get("type") not in ERROR_TYPES:
            self.note("form", f"an error without its form: {plain(text)}")
        elif conditions == ["internal-server-error"]:
            self.note("throw", "".join(errors[0].itertext()) or plain(text))

    def _message(self, message: ET.Element, text: str) -> None:
        sender = message.get("from") or ""
        room, _, nick = sender.partition("/")
        in_room = room.endswith(f"@{ROOMS}")
        self._stanza_ids(message, room if in_room and message.get("type") == "groupchat" else None, text)
        for said in message.findall(f"{{{MUC_USER}}}x/*") if nick and in_room and message.get("type") == "groupchat" else ():
            # the room's own history has the sender's item
            if local(said) != "item" or FORGED in "".join(said.itertext()):
                self.note("forged", f"muc#user of a client in a group message: {plain(text)}")
        if re.match(f"{FORGED}[0-9]", body(message) or ""):
            self.note("forged", f"what a client had said another wrote: {plain(text)}")
        mark = MARK.match(body(message) or "")
        if mark and (nick or not in_room):
            jid = ACTORS[mark[2]][0]
            right = nick not in NEIGHBOURS - {name(jid)} or room != TEAM if in_room else room == jid
            if not right:
                self.note("sender", f"{jid} wrote it: {plain(text)}")
        for result in message.findall(f"{{{MAM}}}result") if not nick else ():
            inner = result.find(f"{{{FORWARD}}}forwarded/{{{CLIENT}}}message")
            if inner is not None and not (result.get("id") or "").startswith(FORGED):
                self._stanza_ids(inner, room if in_room else None, text)

    def _stanza_ids(self, message: ET.Element, room: str | None, text: str) -> None:
        """`room`: whose archive a group message is in."""
        for one in message.findall(f"{{{SID}}}stanza-id"):
            if (one.get("id") or "").startswith(FORGED) and one.get("by") == (room or self.bare_jid):
                self.note("forged", f"an id in an archive, made up by a client: {plain(text)}")

    def _presence(self, presence: ET.Element, text: str) -> None:
        room, _, nick = (presence.get("from") or "").partition("/")
        item = presence.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item")
        jid = (item.get("jid") if item is not None else None) or ""
        if room == TEAM and jid and presence.get("type") is None and nick in NEIGHBOURS - {name(jid)}:
            self.note("sender", f"{jid} goes by another's name: {plain(text)}")
        if jid.endswith(f"@{HOME}") and jid.startswith(FORGED):
            self.note("forged", plain(text))
