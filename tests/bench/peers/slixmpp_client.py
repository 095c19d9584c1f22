"""A room's members one by one, as users of slixmpp write it; commands and answers as in xmpp_client.mjs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from slixmpp import ClientXMPP
from slixmpp.plugins.xep_0004 import Form

TIMEOUT = 600


class Peer(ClientXMPP):
    """Logs in with PLAIN over TCP, without TLS: on loopback, and one thing less to pay for."""

    def __init__(self) -> None:
        super().__init__(os.environ["PEER_JID"], os.environ["PEER_PASSWORD"], sasl_mech="PLAIN")
        self.enable_direct_tls, self.enable_starttls, self.enable_plaintext = False, False, True
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        for plugin in ("xep_0004", "xep_0045", "xep_0199", "xep_0249"):
            self.register_plugin(plugin)
        self.there = 0.0
        """When all were members."""
        self.started = self.loop.create_future()
        self.add_event_handler("session_start", lambda _: self.started.done() or self.started.set_result(None))

    async def create(self, room: str) -> None:
        """A room that stays."""
        muc = self.plugin["xep_0045"]
        await muc.join_muc_wait(room, "peer", timeout=TIMEOUT)
        form: Form = self.plugin["xep_0004"].make_form("submit")
        form.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/muc#roomconfig")
        for name, value in (("persistentroom", "1"), ("membersonly", "1"), ("publicroom", "0")):
            form.add_field(f"muc#roomconfig_{name}", value=value)
        await muc.set_room_config(room, form)
        muc.leave_muc(room, "peer")

    async def each(self, members: list[str], window: int, one) -> None:
        """Calls `one` for every member, `window` at a time."""
        rest = iter(members)

        async def worker() -> None:
            for jid in rest:
                await one(jid)

        await asyncio.gather(*(worker() for _ in range(min(window, len(members)))))

    async def settle(self) -> None:
        """Answered after all before it: the server handles a session's stanzas in order."""
        await self.plugin["xep_0199"].send_ping(self.boundjid.host, timeout=TIMEOUT)

    async def group(self, room: str, members: list[str], window: int) -> None:
        """A new group: the room, its members, their invitations."""
        await self.create(room)
        await self.each(members, window, lambda jid: self.plugin["xep_0045"].set_affiliation(room, "member", jid=jid, timeout=TIMEOUT))
        self.there = time.perf_counter()
        for jid in members:
            self.plugin["xep_0249"].send_invitation(jid, room, reason="usersGroup")
        await self.settle()

    async def joins(self, room: str, members: list[str], window: int) -> None:
        """One after the other joins: affiliation, then invitation."""

        async def one(jid: str) -> None:
            await self.plugin["xep_0045"].set_affiliation(room, "member", jid=jid, timeout=TIMEOUT)
            self.plugin["xep_0249"].send_invitation(jid, room, reason="usersGroup")

        await self.each(members, window, one)
        self.there = time.perf_counter()
        await self.settle()


async def main() -> None:
    """Reads commands until there are no more."""
    peer = Peer()
    peer.connect(os.environ["PEER_HOST"], int(os.environ["PEER_PORT"]))
    await asyncio.wait_for(peer.started, 30)
    print(json.dumps({"ready": True}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        operation = {"group": peer.group, "joins": peer.joins}[command["op"]]
        began = time.perf_counter()
        try:
            await operation(command["room"], command["members"], command["window"])
            answer = {"members": peer.there - began, "seconds": time.perf_counter() - began}
        except Exception as error:  # whatever it is, the measurement names it
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    await peer.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
