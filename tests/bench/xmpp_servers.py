"""What an XMPP server's work costs it: archived messages, a room's deliveries, sessions, logins.

    scripts/bench xmpp
    scripts/bench xmpp --postgresql --peers      also on PostgreSQL; beside ejabberd, with Mnesia and with PostgreSQL

All servers run at once, and each round is done by one after the other; figures are medians of the rounds. Processor time
is the server's own, all its threads, and its database's beside it. The clients are one process: where it is busy nearly all
the time, a figure a second is its own, and the table says so.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from actor import Actor
from targets import all_targets
from xmpp_work import FULL, SMOKE, Measured, Sizes

ROOT = Path(__file__).resolve().parents[2]
BUSY = 0.8
"""Share of the time above which the clients may be what limits."""
WIDTH = 24
KINDS = [("archived one-to-one messages", "chat", 1e3, "ms", "{:.2f}"), ("deliveries of group messages", "talk", 1e6, "µs", "{:.0f}"),
         ("logins", "logins", 1e3, "ms", "{:.2f}")]


def row(title: str, measured: list[Measured], figure: Callable[[Measured], float], pattern: str) -> None:
    """A column a server."""
    print(f"  {title:42}" + "".join(f"{pattern.format(figure(one)):>{WIDTH}}" for one in measured), flush=True)


def report(measured: list[Measured], sizes: Sizes) -> None:
    """Medians, and whether the clients were what limits."""
    print(f"XMPP servers: medians of {sizes.rounds} rounds in turn; a room of {sizes.occupants}, {sizes.pairs} pairs of users")
    print(f"  {'':42}" + "".join(f"{one.target.name:>{WIDTH}}" for one in measured))
    limited = []
    for title, kind, factor, unit, pattern in KINDS:
        def middle(what: str, factor: float = 1, kind: str = kind) -> Callable[[Measured], float]:
            return lambda one: median(getattr(getattr(one, kind), what)) * factor

        row(f"{title} a second", measured, middle("rate"), "{:,.0f}")
        row(f"  processor time of the server, {unit} each", measured, middle("server", factor), pattern)
        row(f"  and of its database, {unit} each", measured, middle("database", factor), pattern)
        row("  busy: server", measured, middle("busy", 100), "{:.0f} %")
        row("  busy: clients", measured, middle("client", 100), "{:.0f} %")
        limited += [f"{one.target.name}: {title}" for one in measured if middle("client")(one) > BUSY]
    for count in sizes.sessions:
        row(f"memory of a session, KiB, with {count:,}", measured, lambda one, count=count: one.sessions[count], "{:.0f}")
    print(f"  the clients may be what limits: {', '.join(limited)}" if limited else
          f"  the clients were never busy for more than {BUSY:.0%} of the time: they are not what limits")


@contextmanager
def folder() -> Iterator[Path]:
    """For the servers' data; kept, and named, when something fails."""
    base = ROOT / "target" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-xmpp-"), dir=base))
    try:
        yield path
    except BaseException:
        print(f"bench: logs are in {path}", flush=True)
        raise
    shutil.rmtree(path, ignore_errors=True)


def run(program: Path, *, smoke: bool, postgresql: bool, peers: bool) -> None:
    """Starts the servers, measures, prints. `program`: sippo-xmpp-bench."""
    sizes = SMOKE if smoke else FULL
    load = os.getloadavg()[0]
    with folder() as path, ExitStack() as running:
        targets = all_targets(path, running, postgresql=postgresql, peers=peers)
        measured = [Measured(target, running.enter_context(Actor(f"clients of {target.name}", [str(program), "load"])))
                    for target in targets]
        for one in measured:
            one.open_sessions(sizes)
            one.enter(sizes)
            one.round(sizes, counts=False)
        for _ in range(sizes.rounds):
            for one in measured:
                one.round(sizes)
        for one in measured:
            one.check(sizes)
    report(measured, sizes)
    print(f"  processes that want a processor, by the minute before it began and at its end: {load:.1f}, {os.getloadavg()[0]:.1f}")
