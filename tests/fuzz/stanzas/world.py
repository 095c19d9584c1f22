"""The server with its tenants and rooms, and the secrets of those who must not notice anything."""

from __future__ import annotations

import secrets
import signal
import subprocess
from pathlib import Path

from fuzz.stanzas.pinger import Pinger
from fuzz.stanzas.places import CAROL, DAVE, EVE, GUEST, HOME, MAL, OTHER, OTHER_TEAM, PAT, SECRET, TEAM, VERA, ZOE, name
from support.prosody import Server
from support.stanzas import (
    affiliate, affiliated, archived_bodies, ask, configuration, create_room, join, ok, send_message, settle)
from support.uploads import new_slot
from support.xmpp import Client

EXTRA = {"CLIENT_RATE": "100mb/s", "RESUME_TIMEOUT": "5"}
"""Settings: as much as the machine can do; sessions that are lost end while somebody looks."""
KEPT_FIELDS = ["muc#roomconfig_persistentroom", "muc#roomconfig_membersonly", "muc#roomconfig_publicroom", "muc#roomconfig_whois"]
"""Of a room of the service; no owner changes them."""


class World:
    """One server. `secrets` are texts that the fuzzing users must never see."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.canary, self.privy = f"canary-{secrets.token_hex(8)}", f"privy-{secrets.token_hex(8)}"
        self.admin_name = f"svc{secrets.token_hex(8)}"
        self.server = Server(folder, **{"extra": EXTRA, "log_level": "info", "admin_jid": f"{self.admin_name}@admin.internal",
                                         **settings})
        self.pinger: Pinger | None = None
        self._tokens: dict[str, str] = {}

    def start(self) -> World:
        """The server, its tenants, rooms, secrets."""
        self.server.start()
        for domain in (HOME, GUEST, OTHER):
            self.server.create_host(domain)
        with self.server.admin() as admin:
            for room, owner, members in ((TEAM, EVE, [MAL, ZOE, CAROL]), (SECRET, CAROL, []), (OTHER_TEAM, VERA, [])):
                create_room(admin, room, life="1.1/a", **{"muc#roomconfig_roomname": "Room", "muc#roomconfig_membersonly": "1",
                                                          "muc#roomconfig_persistentroom": "1"})
                affiliate(admin, room, (owner, "owner"), *((jid, "member") for jid in members))
        for jid, secret, room in ((VERA, self.canary, OTHER_TEAM), (CAROL, self.privy, SECRET)):
            with self.server.user(jid) as client:
                self._plant(client, secret, room)
        self.before = self.state()
        self.pinger = Pinger(self.server.ws_url, PAT, self.server.login_token(PAT), self.server.pid)
        return self

    def _plant(self, client: Client, secret: str, room: str) -> None:
        """Puts the secret wherever a user keeps something that others do not see."""
        ok(ask(client, "set", f"<query xmlns='jabber:iq:private'><secret xmlns='urn:example:secret'>{secret}</secret></query>"))
        ok(ask(client, "set", f"<query xmlns='jabber:iq:roster'><item jid='friend@{client.domain}' name='{secret}'/></query>"))
        ok(ask(client, "set", f"<block xmlns='urn:xmpp:blocking'><item jid='{secret}@{client.domain}'/></block>"))
        send_message(client, f"{DAVE if client.domain == HOME else PAT}", f"{secret} alone")
        assert join(client, room, name(client.bare_jid)).get("type") is None
        send_message(client, room, f"{secret} in the room", "groupchat")
        ok(ask(client, "set", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:x:secret'><item id='1'>"
                              f"<a xmlns='urn:x'>{secret}</a></item></publish></pubsub>"))
        if client.domain == OTHER:
            ok(ask(client, "set", f"<vCard xmlns='vcard-temp'><FN>{secret}</FN></vCard>"))
        assert new_slot(client, 100, f"{secret}.txt").upload(secret.encode().ljust(100)).status_code == 201
        settle(client)

    def state(self) -> dict[str, object]:
        """What those who do not take part find of their own: the same before and after."""
        found: dict[str, object] = {}
        for jid in (VERA, CAROL):
            with self.server.user(jid) as client:
                found |= {f"{jid} {what}": tuple(sorted(part for part in self._texts(client, payload))) for what, payload in (
                    ("private storage", "<query xmlns='jabber:iq:private'><secret xmlns='urn:example:secret'/></query>"),
                    ("roster", "<query xmlns='jabber:iq:roster'/>"), ("block list", "<blocklist xmlns='urn:xmpp:blocking'/>"))}
        with self.server.user(VERA) as client:
            found["archive"] = archived_bodies(client, VERA)
            found["archive of the room"] = archived_bodies(client, OTHER_TEAM)
        with self.server.admin() as admin:
            for room in (TEAM, SECRET, OTHER_TEAM):
                fields = configuration(admin, room)
                found[f"configuration of {room}"] = {one: fields.get(one) for one in KEPT_FIELDS}
            for room in (SECRET, OTHER_TEAM):
                found[f"members of {room}"] = {
                    rank: affiliated(admin, room, rank) for rank in ("owner", "admin", "member", "outcast")}
        return found

    def _texts(self, client: Client, payload: str) -> list[str]:
        secret = self.canary if client.domain == OTHER else self.privy
        return [value for element in ask(client, "get", payload).iter() for value in (element.text, *element.attrib.values())
                if value and secret in value]

    @property
    def secrets(self) -> list[str]:
        """What nobody who fuzzes may see."""
        return [self.canary, self.privy, self.admin_name, self.server.admin_token]

    def token(self, jid: str) -> str:
        """The login token that `jid` uses all the time."""
        return self._tokens.setdefault(jid, self.server.login_token(jid, ttl=86_400))

    def logged_secrets(self) -> list[tuple[str, str]]:
        """What must not be in the log: what it is, and a text by which it is known."""
        signatures = [("a login token", token.rpartition(".")[2]) for token in self._tokens.values()]
        return [("the admin token", self.server.admin_token), *signatures]

    def memory(self) -> int:
        """KiB that the server has."""
        text = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])

    def end(self) -> int | None:
        """Has the server end by SIGTERM; its exit status, None if it does not end."""
        process = self.server._process
        assert process is not None
        try:
            self.end_pinger()
        finally:  # whatever comes, a signal for one: the server does not stay behind
            if process.poll() is None:
                self.server.signal(signal.SIGTERM)
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            self.server.kill()
            return None

    def end_pinger(self) -> None:
        """Its figures are whole then."""
        if self.pinger:
            self.pinger.end()
