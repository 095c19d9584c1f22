"""One trial from beginning to end, for the bounded test and for the soak."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stack import aws
from stack.command_line import StatusLine, waiting
from stack.fake_aws import TABLE
from stack.stack import DOMAIN
from support.platform import Platform
from support.soak.model import Model
from support.soak.nemesis import Nemesis
from support.soak.publisher import Publisher
from support.soak.traffic import Domains, Traffic
from support.soak.verdict import Verdict, compare, compare_invitations, dead_letters, settle
from support.wait import until

DOMAINS = Domains(steady=DOMAIN, fickle="tenant.test", guests="partner.test")
SETTLE = 300.0
"""Seconds until all must have been handled: a claim on an invitation outlives who died with it by two minutes."""
BURST = (1, 40)
OPTIONS = {"OFFLINE_QUOTA": "1000000", "OFFLINE_BYTE_QUOTA": "1000000000", "LOG_LEVEL": "info"}
"""Of the XMPP server: nobody reads their messages before the end, and at debug it would say too much."""


@dataclass(frozen=True)
class Plan:
    """What a trial does. The same seed makes the same events; when what is killed is not that exact."""

    seed: int
    rooms: int
    users: int
    rate: float
    """Events a second, in the mean of bursts."""
    seconds: float
    """How long events flow at least; on until all strikes are over."""
    gap: tuple[float, float]
    """Seconds between two strikes."""
    strikes: tuple[str, ...] | None = None
    """What is struck, in this order; all there is in random order when it is left out."""


@dataclass
class Report:
    """What happened."""

    published: int = 0
    in_doubt: int = 0
    strikes: Counter[str] = field(default_factory=Counter)
    handled: int = 0
    """Events that functions have received, each as often as it was."""
    settled: float = 0.0
    """Seconds from the last event to empty queues."""
    dead: dict[str, int] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    model: Model = field(default_factory=Model)

    @property
    def is_clean(self) -> bool:
        """Whether all is as it should be."""
        return not self.verdict.divergences and not self.dead

    def lines(self) -> list[str]:
        """For people."""
        verdict = self.verdict
        kinds = ("lost", "superfluous", "affiliation", "room missing", "room superfluous", "configuration",
                 "bookmark lost", "bookmark superfluous", "bookmark", "invitation lost", "invitation superfluous", "host")
        rows: list[tuple[str, object]] = [
            ("events published", self.published), ("  in doubt, published again", self.in_doubt),
            ("  received by functions", self.handled),
            ("  of these again", max(0, self.handled - self.published)),
            ("strikes", self.strikes.total()), *((f"  {name}", number) for name, number in sorted(self.strikes.items())),
            ("seconds to settle", round(self.settled, 1)),
            ("rooms compared", verdict.rooms), ("  existing", verdict.existing), ("  affiliations", verdict.members),
            ("bookmarks", verdict.bookmarks), ("invitations", verdict.invitations), ("  repeated", verdict.repeated),
            ("  beyond one a spell", verdict.surplus), ("dead letters", sum(self.dead.values())),
            ("divergences", len(verdict.divergences)), *((f"  {kind}", verdict.count(kind)) for kind in kinds),
        ]
        return [f"{name:28} {number}" for name, number in rows] + [str(one) for one in verdict.divergences]


def run(platform: Platform, plan: Plan, say: Callable[[str], None] = lambda _: None, line: StatusLine | None = None) -> Report:
    """Publishes and strikes as planned, waits until all is handled, and compares."""
    if platform.stack.cells == 1:
        platform.stack.create_domain(DOMAINS.guests)
        domains = DOMAINS
    else:
        domains = spread(platform)
    report = Report()
    model = report.model
    journal = platform.paths.state / "journal.jsonl"
    publisher = Publisher(platform.stack.rabbitmq.url, model, journal)
    nemesis = Nemesis(platform, random.Random(plan.seed + 1), publisher.record)
    say(f"journal of events and strikes: {journal}")
    try:
        with waiting(lambda: f"{publisher.published:,} events, {nemesis.strikes.total()} strikes of {plan.seconds / 60:g} min", line):
            _flow(plan, model, domains, publisher, nemesis, say)
        nemesis.stop()
        ended = time.monotonic()
        say(f"{publisher.published} events published; waiting until all is handled")
        with waiting(lambda: "waiting until all is handled", line):
            settle(platform, SETTLE)
        report.settled = time.monotonic() - ended
    finally:
        publisher.close()
    report.published, report.in_doubt, report.strikes = publisher.published, publisher.in_doubt, nemesis.strikes
    report.handled = _handled(platform.paths.logs / "functions.log")
    report.dead = dead_letters(platform)
    with waiting(lambda: "comparing rooms and invitations", line):
        report.verdict = compare(platform, model, domains.bystanders())
        compare_invitations(platform, model, domains.bystanders(), report.verdict)
    if not report.is_clean:
        _keep_evidence(platform, report, platform.paths.state / "divergences.json")
    return report


def spread(platform: Platform) -> Domains:
    """Tenants on each cell: one with rooms, and one whose users are guests in the next cell's rooms."""
    names = itertools.count(1)
    platform.publish("domain.created", {"domain": DOMAINS.fickle})

    def found() -> dict[str, list[str]]:
        return {cell: [one for one in hosts if one.startswith("soak")] for cell, hosts in platform.hosts_by_cell().items()}
    while min(map(len, found().values())) < 2:
        domain = f"soak{next(names)}.test"
        platform.publish("domain.created", {"domain": domain})
        until(lambda domain=domain: domain in platform.hosts(), f"{domain} on a cell")  # type: ignore[misc]
    until(lambda: DOMAINS.fickle in platform.hosts(), f"{DOMAINS.fickle} on a cell")
    homes, guests = zip(*(tenants[:2] for tenants in found().values()), strict=True)
    of_fickle = next(number for number, hosts in enumerate(platform.hosts_by_cell().values()) if DOMAINS.fickle in hosts)
    guests_of = {home: guests[number - 1] for number, home in enumerate(homes)} | {DOMAINS.fickle: guests[of_fickle - 1]}
    steady, *further = homes
    return Domains(steady, DOMAINS.fickle, guests_of[steady], tuple(further), guests_of)


def _flow(plan: Plan, model: Model, domains: Domains, publisher: Publisher, nemesis: Nemesis, say: Callable[[str], None]) -> None:
    chance = random.Random(plan.seed)
    traffic = Traffic(chance, model, domains, plan.rooms, plan.users)
    for message in traffic.opening():
        publisher.publish(message)
    nemesis.start(nemesis.any() if plan.strikes is None else plan.strikes, plan.gap)
    began = due = time.monotonic()
    reported = began
    while time.monotonic() < began + plan.seconds or (plan.strikes is not None and nemesis.busy):
        for _ in range(burst := chance.randint(*BURST)):
            publisher.publish(traffic.next())
        nemesis.check()
        # What an outage has held up is not made up for.
        due = max(due + burst / plan.rate, time.monotonic())
        publisher.pause(due - time.monotonic())
        if time.monotonic() - reported > 30:
            reported = time.monotonic()
            say(f"{reported - began:4.0f} s: {publisher.published} events, {nemesis.strikes.total()} strikes")
    for message in traffic.closing():
        publisher.publish(message)


def _handled(log: Path) -> int:
    """How often functions have received an event, by their log."""
    with log.open("rb") as lines:
        return sum(b'"Received ' in line and b'"event.id"' in line for line in lines)


def _keep_evidence(platform: Platform, report: Report, file: Path) -> None:
    """Writes what the ledger holds of each room that diverges beside the divergence."""
    found = []
    for room in sorted({one.room for one in report.verdict.divergences}):
        items = aws.call(
            platform.stack.ports.queue, "dynamodb", "Query", TableName=TABLE, ConsistentRead=True,
            KeyConditionExpression="pk = :room", ExpressionAttributeValues={":room": {"S": f"room#{room}"}})["Items"]
        found.append({"room": room, "ledger": items,
                      "divergences": [str(one) for one in report.verdict.divergences if one.room == room]})
    file.write_text(json.dumps({"dead": report.dead, "rooms": found}, indent=1))
