"""What it costs to store in PostgreSQL beside SQLite: the same work on a server of each kind, both waiting for the disk.

    scripts/bench storage
    target/venv/bin/python tests/bench/storage.py [--few]

Printed are the medians of several rounds, what is done a second, and the share of one processor that Prosody and PostgreSQL took.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from support.postgresql import PostgreSQL, programs  # noqa: E402
from support.prosody import Server  # noqa: E402
from support.stanzas import affiliate, ask, create_room, join, ok, send_message  # noqa: E402
from support.xmpp import Client  # noqa: E402

HOME = "home.example"
ROOM = f"group@conference.{HOME}"


@dataclass(frozen=True)
class Sizes:
    """How much is done in a round."""

    rounds: int
    messages: int
    changes: int
    members: int


FULL, FEW = Sizes(5, 200, 40, 200), Sizes(1, 5, 2, 5)


def handled(client: Client) -> None:
    """Returns once the server has handled all that this client sent."""
    ok(ask(client, "get", "<ping xmlns='urn:xmpp:ping'/>", None, 120))


def archived(server: Server, sizes: Sizes) -> int:
    """Messages to somebody who is away: into two archives, and the offline store of one who never comes."""
    with server.user(f"alice@{HOME}") as alice:
        for n in range(sizes.messages):
            send_message(alice, f"bob{n % 50}@{HOME}", f"message {n}")
        handled(alice)
    return sizes.messages


def room_messages(server: Server, sizes: Sizes) -> int:
    """Messages to a room with an archive."""
    with server.user(f"m0@{HOME}") as member:
        join(member, ROOM, "m0")
        for n in range(sizes.messages):
            send_message(member, ROOM, f"message {n}", "groupchat")
        handled(member)
        member.wait(lambda e: e.findtext("{*}body") == f"message {sizes.messages - 1}", 60)
    return sizes.messages


def changes(server: Server, sizes: Sizes) -> int:
    """Affiliations in a room of many, one request after the other."""
    with server.admin() as admin:
        for n in range(sizes.changes):
            ok(affiliate(admin, ROOM, (f"new{n // 2}@{HOME}", ("member", "none")[n % 2])))
    return sizes.changes


SUBJECTS: dict[str, Callable[[Server, Sizes], int]] = {
    "archived messages": archived, "group messages": room_messages, "affiliation changes": changes}


def measure(server: Server, sizes: Sizes) -> dict[str, float]:
    """Median of what is done in a second, by subject."""
    server.start()
    server.create_host(HOME)
    with server.admin() as admin:
        create_room(admin, ROOM, life="1.1/x")
        ok(affiliate(admin, ROOM, *((f"m{n}@{HOME}", "member") for n in range(sizes.members))))
    found = {}
    for subject, work in SUBJECTS.items():
        rates = []
        for _ in range(sizes.rounds):
            began = time.monotonic()
            done = work(server, sizes)
            rates.append(done / (time.monotonic() - began))
        found[subject] = statistics.median(rates)
    server.stop()
    return found


def run(*, few: bool) -> bool:
    """Measures and prints; False where there is no PostgreSQL."""
    if programs() is None:
        print("not measured: there is no PostgreSQL server here; install Debian's package postgresql")
        return False
    sizes, folder = FEW if few else FULL, Path(tempfile.mkdtemp(prefix="bench-storage-", dir=ROOT / "target"))
    cluster = PostgreSQL(durable=True)
    try:
        cluster.start()
        stores = {"SQLite": {}, "PostgreSQL": {"STORAGE": cluster.url, "STORAGE_PASSWORD": cluster.password}}
        extra = {"CLIENT_RATE": "100mb/s", "USER_TIME_SHARE": "100", "OFFLINE_QUOTA": "1000000", "OFFLINE_BYTE_QUOTA": "1073741824"}
        results = {}
        for name, options in stores.items():
            server = Server(folder / name, storage=options.get("STORAGE"), log_level="info", extra=extra | options)
            try:
                results[name] = measure(server, sizes)
            finally:
                server.stop()
    finally:
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'a second':<22}{'SQLite':>10}{'PostgreSQL':>12}{'ratio':>8}")
    for subject in SUBJECTS:
        one, other = results["SQLite"][subject], results["PostgreSQL"][subject]
        print(f"{subject:<22}{one:>10.0f}{other:>12.0f}{other / one:>8.2f}")
    return True


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", action="store_true", help="a few of each, to see that it works")
    sys.exit(0 if run(few=parser.parse_args().few) else 1)


if __name__ == "__main__":
    main()
