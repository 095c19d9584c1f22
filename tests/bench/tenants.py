"""What a tenant costs Prosody: to make, to use for the first time, in memory, and when the server starts.

    scripts/bench tenants
    target/venv/bin/python tests/bench/tenants.py --tenants 1000 --prosody 13.0

Times are the wall's and, behind them, of Prosody's own processor time. Memory is what Prosody's grows by. A tenant is
loaded by the first thing that addresses it, so what nobody uses costs less than what somebody does; those that are used
get one login each. The restart ends with a login; then all users of another hundred tenants log in at once.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

from support.prosody import Server  # noqa: E402
from usage import cpu, memory  # noqa: E402

FULL, SMOKE = (100, 1_000), (5,)
USED = 100
"""Tenants that get a login, at most."""
AT_ONCE = 10


@dataclass
class Cost:
    """Of something, for Prosody."""

    seconds: float
    cpu: float
    memory: int
    """KiB."""


@contextmanager
def cost_of(server: Server) -> Iterator[Cost]:
    """Fills what the block costs."""
    cost, began, spent, had = Cost(0, 0, 0), time.monotonic(), cpu(server.pid), memory(server.pid)
    yield cost
    cost.seconds, cost.cpu, cost.memory = time.monotonic() - began, cpu(server.pid) - spent, memory(server.pid) - had


def show(what: str, cost: Cost, count: int) -> None:
    print(f"  {what:34} {cost.seconds / count * 1e3:8.1f} ms   {cost.cpu / count * 1e3:6.1f} ms of processor time"
          f"   {cost.memory / count:8.0f} KiB   each", flush=True)


def make(server: Server, domains: list[str]) -> None:
    times = []
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    with cost_of(server) as cost, httpx.Client(headers=headers, trust_env=False, timeout=60) as client:
        for domain in domains:
            began = time.monotonic()
            client.post(server.hosts_url, json={"domain": domain}).raise_for_status()
            times.append(time.monotonic() - began)
    cost.seconds = statistics.median(times) * len(times)
    show("to make (median)", cost, len(domains))


def log_in(server: Server, domain: str) -> None:
    server.user(f"alice@{domain}").close()


def use(server: Server, domains: list[str]) -> None:
    log_in(server, "warm.example")  # compiles what all share
    with cost_of(server) as cost:
        for domain in domains:
            log_in(server, domain)
    show("to use first: load, one login", cost, len(domains))
    with cost_of(server) as cost:
        for domain in domains:
            log_in(server, domain)
    show("another login", cost, len(domains))


def restart(server: Server, domains: list[str]) -> None:
    server.stop()
    began = time.monotonic()
    server.start()
    log_in(server, domains[0])
    print(f"  restart to the end of a first login {time.monotonic() - began:7.2f} s    {cpu(server.pid):6.2f} s of processor time"
          f"   {memory(server.pid) / 1024:8.1f} MiB   in all", flush=True)
    others = domains[1:USED + 1]
    with cost_of(server) as cost, ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(log_in, server, domain) for domain in others]:
            done.result()  # nobody is refused
    show(f"logins of {len(others)} tenants, {AT_ONCE} at once", cost, len(others))


def measure(count: int, series: str | None = None) -> None:
    """One server with `count` tenants."""
    base = ROOT / "target" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tenants-", dir=base))
    server = Server(folder, log_level="info", series=series).start()
    domains = [f"tenant{number}.example" for number in range(count)]
    try:
        print(f"{count:,} tenants, Prosody {server.series}; {memory(server.pid) / 1024:.1f} MiB without any")
        server.create_host("warm.example")
        make(server, domains)
        use(server, domains[:USED])
        restart(server, domains)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(*, smoke: bool) -> None:
    """As scripts/bench does it."""
    for count in SMOKE if smoke else FULL:
        measure(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, action="append", help="how many; repeat it for several")
    parser.add_argument("--prosody", help="which Prosody, like 13.0")
    options = parser.parse_args()
    for count in options.tenants or FULL:
        measure(count, options.prosody)


if __name__ == "__main__":
    main()
