"""How long one user, or one deletion, keeps users of another tenant waiting, and what memory it costs Prosody.

    scripts/bench stalls
    target/venv/bin/python tests/bench/stalls.py [SCENARIO …]

Each scenario has a Prosody of its own. Printed are the longest wait of another tenant's client for the answer to a ping
(one after the other all the time), and Prosody's memory before, at most and 3 s after. Fails if a ping took more than a
second or more than 64 MiB stay.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from stack.command_line import waiting  # noqa: E402
from support.prosody import Server  # noqa: E402
from support.stanzas import ROSTER, ROSTER_GROUP, answer, ask, go_online, join, leave, new_id, request  # noqa: E402
from support.xmpp import CLIENT, Client, XmppError  # noqa: E402

MAX_WAIT = 1.0
MAX_LEFT = 64 * 1024
"""KiB."""

MAM = "urn:xmpp:mam:2"
SM = "urn:xmpp:sm:3"
PAGE = f"<query xmlns='{MAM}'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max></set></query>"
LARGE = 120_000
HOME, OTHER = "home.example", "other.example"


class Pinger:
    """Another tenant's client that pings its server all the time."""

    def __init__(self, client: Client) -> None:
        self.longest, self._client, self._stop = 0.0, client, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            ask(self._client, "get", "<ping xmlns='urn:xmpp:ping'/>", None, 120)
            self.longest = max(self.longest, time.monotonic() - began)
            self._stop.wait(0.02)

    def end(self) -> float:
        """Seconds of the longest wait."""
        self._stop.set()
        self._thread.join(130)
        return self.longest


def memory(server: Server, field: str = "VmRSS") -> int:
    """KiB that the process has."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise RuntimeError(f"no {field}")


def send_all(client: Client, stanzas: list[str]) -> None:
    for stanza in stanzas:
        client.send(stanza)


def ask_all(client: Client, kind: str, payloads: list[str], to: str | None = None) -> None:
    """Sends all requests at once and waits for all answers, of whatever kind."""
    ids = [new_id() for _ in payloads]
    send_all(client, [request(kind, payload, to, ident) for payload, ident in zip(payloads, ids, strict=True)])
    for ident in ids:
        answer(client, ident, 120)


def message(to: str, body: str, kind: str = "chat") -> str:
    return f"<message xmlns='{CLIENT}' id='{new_id()}' type='{kind}' to='{to}'><body>{body}</body></message>"


def large_messages(client: Client, to: str, count: int, kind: str = "chat") -> None:
    for _ in range(count):
        client.send(message(to, "x" * LARGE, kind))
    ask(client, "get", "<ping xmlns='urn:xmpp:ping'/>", None, 120)


# Scenarios: what is there before, then what is measured


def archive(server: Server) -> Iterator[None]:
    """60 queries over 30 messages of 120 kB."""
    with server.user(f"eve@{HOME}") as eve:
        large_messages(eve, f"nobody@{HOME}", 30)
        yield
        ask_all(eve, "set", [PAGE] * 60)


def room(server: Server) -> Iterator[None]:
    """60 queries over a room's archive with 30 messages of 120 kB, and 60 times entering it."""
    address = f"adhoc-large@conference.{HOME}"
    with server.user(f"eve@{HOME}") as eve:
        join(eve, address, "eve")
        large_messages(eve, address, 30, "groupchat")
        yield
        ask_all(eve, "set", [PAGE] * 60, address)
        for _ in range(60):
            leave(eve, address, "eve")
            join(eve, address, "eve", 60)


def roster(server: Server) -> Iterator[None]:
    """A roster of 75 contacts with 240 kB each: read by its user 20 times, and the chat list by the service."""
    with server.user(f"eve@{HOME}") as eve, server.admin() as admin:
        for n in range(75):
            item = f"<item jid='c{n}@{HOME}' name='{'x' * 240_000}'/>"
            ask(eve, "set", f"<query xmlns='{ROSTER}'>{item}</query>", None, 120)
        yield
        for _ in range(3):
            ask(admin, "get", f"<group xmlns='{ROSTER_GROUP}' name='individualChatList'/>", f"eve@{HOME}", 120)
            ask(admin, "get", f"<query xmlns='{ROSTER}'/>", f"eve@{HOME}", 120)
        ask_all(eve, "get", [f"<query xmlns='{ROSTER}'/>"] * 20)


def stores(server: Server) -> Iterator[None]:
    """Private XML, PEP items and a vCard of 200 kB each, as many as are taken; each read 20 times."""
    pubsub = "http://jabber.org/protocol/pubsub"
    with server.user(f"eve@{HOME}") as eve:
        photo = base64.b64encode(b"x" * 100_000).decode()
        ask(eve, "set", f"<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{photo}</BINVAL></PHOTO></vCard>")
        for n in range(30):
            ask(eve, "set", f"<query xmlns='jabber:iq:private'><a xmlns='urn:x:{n}'>{'x' * 200_000}</a></query>", None, 60)
            item = f"<item id='i{n}'><a xmlns='urn:x'>{'x' * 200_000}</a></item>"
            options = ("<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"
                       f"{pubsub}#publish-options</value></field><field var='pubsub#max_items'><value>max</value></field></x>"
                       "</publish-options>")
            ask(eve, "set", f"<pubsub xmlns='{pubsub}'><publish node='n'>{item}</publish>{options}</pubsub>", None, 60)
        yield
        ask_all(eve, "get", [f"<query xmlns='jabber:iq:private'><a xmlns='urn:x:{n}'/></query>" for n in range(20)])
        ask_all(eve, "get", [f"<pubsub xmlns='{pubsub}'><items node='n'/></pubsub>"] * 20)
        ask_all(eve, "get", ["<vCard xmlns='vcard-temp'/>"] * 20)


def offline(server: Server) -> Iterator[None]:
    """200 messages of 120 kB that wait for somebody who then comes."""
    with server.user(f"eve@{HOME}") as eve:
        large_messages(eve, f"late@{HOME}", 200)
        yield
        with server.user(f"late@{HOME}") as late:
            go_online(late)


def sessions(server: Server) -> Iterator[None]:
    """100 sessions with one login token, each with 300 small writes and 20 archive queries."""
    token = server.login_token(f"eve@{HOME}")
    with server.user(f"eve@{HOME}") as eve:
        large_messages(eve, f"nobody@{HOME}", 30)
    yield
    clients = []
    for _ in range(100):
        with suppress(XmppError):
            clients.append(server.client(f"eve@{HOME}", token).connect())
    print(f"   {len(clients)} sessions")
    writes = [f"<query xmlns='jabber:iq:private'><a xmlns='urn:x:{n}'>x</a></query>" for n in range(300)]

    def work(client: Client) -> None:
        ask_all(client, "set", writes)
        ask_all(client, "set", [PAGE] * 20)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()


def half_elements(server: Server) -> Iterator[None]:
    """As many sessions of one user as are kept, each lost in the middle of a message of 9,000 elements."""
    token = server.login_token(f"eve@{HOME}")
    yield
    for _ in range(40):
        client = server.client(f"eve@{HOME}", token).connect()
        client.send(f"<enable xmlns='{SM}' resume='true'/>")
        client.wait(lambda e: e.tag == f"{{{SM}}}enabled", 60)
        client.send(f"<message xmlns='{CLIENT}'>" + "<a/>" * 9_000)
        client.abort()


def fill(server: Server, host: str, store: str, user: str, rows: int) -> None:
    """Puts rows into an archive behind the server's back."""
    value = f"<message xmlns='jabber:client' type='chat'><body>{'x' * 200}</body></message>"
    with closing(sqlite3.connect(server.data / "prosody.sqlite", timeout=60)) as database, database:
        database.executemany(
            'INSERT INTO prosodyarchive (host, "user", store, "key", "when", "with", type, value) VALUES (?,?,?,?,?,?,?,?)',
            ((host, user.format(n % 100), store, f"{user}{n}", 1_700_000_000 + n, "message<groupchat", "xml", value)
             for n in range(rows)))


def big_domain(server: Server) -> Iterator[None]:
    """A domain with 500,000 archived messages is deleted."""
    fill(server, HOME, "archive", "user{}", 500_000)
    yield
    httpx.delete(f"{server.hosts_url}/{HOME}", headers={"Authorization": f"Bearer {server.admin_token}"}, timeout=300,
                 trust_env=False).raise_for_status()


def big_archive(server: Server) -> Iterator[None]:
    """Pages of 50 of an archive of 600,000 messages, the last before and the first after a time, and with somebody."""
    since = "<field var='start'><value>2023-11-15T00:00:00Z</value></field>"
    until_then = "<field var='end'><value>2030-01-01T00:00:00Z</value></field>"
    other = f"<field var='with'><value>nobody@{HOME}</value></field>"
    fill(server, HOME, "archive", "eve", 600_000)
    with server.user(f"eve@{HOME}") as eve:
        yield
        for fields in (since, since + until_then, other):
            for place in ("", "<before/>"):
                form = ("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
                        f"{fields}</x>")
                rsm = f"<set xmlns='http://jabber.org/protocol/rsm'><max>50</max>{place}</set>"
                ask(eve, "set", f"<query xmlns='urn:xmpp:mam:2'>{form}{rsm}</query>", timeout=60)


def big_room(server: Server) -> Iterator[None]:
    """A room of the service with 200,000 messages is destroyed."""
    xmlns, address = "urn:quobis:sippo:room:0", f"team@conference.{HOME}"
    with server.admin() as admin:
        ask(admin, "set", f"<ensure xmlns='{xmlns}' life='1.1/a'/>", address)
        fill(server, f"conference.{HOME}", "muc_log", "team", 200_000)
        yield
        ask(admin, "set", f"<destroy xmlns='{xmlns}' ended='1.2/b'/>", address, 120)


SCENARIOS = {f.__name__: f for f in (
    archive, room, roster, stores, offline, sessions, half_elements, big_domain, big_archive, big_room)}

SMOKE = ("archive", "stores")


def measure(name: str, place: str = "1 of 1") -> bool:
    """Runs a scenario, and tells meanwhile in a terminal which it is; whether others were not kept waiting."""
    with waiting(lambda: f"{name}, {place}"):
        line, good = scenario(name)
    print(line, flush=True)
    return good


def measure_all(names: Sequence[str]) -> bool:
    """One after the other."""
    return all([measure(name, f"{number} of {len(names)}") for number, name in enumerate(names, 1)])


def scenario(name: str) -> tuple[str, bool]:
    """Runs one: what to say of it, and whether all is good."""
    base = ROOT / "target" / "stalls"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base))
    server = Server(folder, extra={"CLIENT_RATE": "100mb/s"}, log_level="info").start()
    try:
        for domain in (HOME, OTHER):
            server.create_host(domain)
        steps = SCENARIOS[name](server)
        next(steps)
        time.sleep(1)
        before = memory(server)
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak begins anew
        pinger, began = Pinger(server.user(f"pat@{OTHER}")), time.monotonic()
        next(steps, None)
        took, longest = time.monotonic() - began, pinger.end()
        most = memory(server, "VmHWM")
        time.sleep(3)
        after = memory(server)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    good = longest <= MAX_WAIT and after - before <= MAX_LEFT
    return (f"{name:12} longest wait {longest:6.2f} s of {took:6.1f} s   memory {before // 1024:4} MiB, at most "
            f"{most // 1024:4}, then {after // 1024:4}   {'ok' if good else 'TOO MUCH'}"), good


def run(*, smoke: bool) -> bool:
    """All scenarios, whether all is good. A smoke run has a few, and no verdict: other programs run beside it."""
    return measure_all(SMOKE if smoke else list(SCENARIOS)) or smoke


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="; ".join(
        f"{name}: {f.__doc__}" for name, f in SCENARIOS.items()))
    names = parser.parse_args().scenario or list(SCENARIOS)
    sys.exit(0 if measure_all(names) else 1)


if __name__ == "__main__":
    main()
