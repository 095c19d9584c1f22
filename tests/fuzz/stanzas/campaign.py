"""Rounds for hours, each with a server and a seed of its own; what they find is made short and kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz.stanzas import generator
from fuzz.stanzas.action import Action
from fuzz.stanzas.findings import Finding
from fuzz.stanzas.minimise import minimise, seen_again
from fuzz.stanzas.round import Report, Round

Say = Callable[[str], None]
MINIMISING = 180.0
"""Seconds at most for one finding."""


@dataclass(frozen=True)
class Plan:
    """What to do."""

    seconds: float
    seed: int
    actions: int
    """Of each round."""
    areas: list[str] | None = None
    series: str | None = None
    """Of Prosody."""


def run(plan: Plan, folder: Path, say: Say) -> int:
    """Runs rounds until the time is over; the number of faults found."""
    began, seed, known = time.monotonic(), plan.seed, set[str]()
    totals = Report()
    while (left := plan.seconds - (time.monotonic() - began)) > 0 or seed == plan.seed:
        actions = [generator.action(seed, position, plan.areas) for position in range(plan.actions)]
        report = Round(folder / f"seed-{seed}", seconds=max(left, 1), series=plan.series).run(actions)
        say(f"seed {seed}: {report}")
        for finding in report.findings:
            if finding.kind not in known:
                known.add(finding.kind)
                tell(plan, seed, finding, actions[:report.actions], folder, say)
        if not report.findings:
            shutil.rmtree(folder / f"seed-{seed}", ignore_errors=True)
        for name in ("actions", "sent", "received", "connections", "seconds", "processor"):
            setattr(totals, name, getattr(totals, name) + getattr(report, name))
        totals.longest_wait = max(totals.longest_wait, report.longest_wait)
        totals.longest_by_clock = max(totals.longest_by_clock, report.longest_by_clock)
        seed += 1
    say(f"{seed - plan.seed} rounds: {totals.actions} actions, {totals.sent} sent, {totals.received} received, "
        f"{totals.seconds / 3600:.2f} h, {totals.processor / 3600:.2f} h of Prosody's processor time, "
        f"another tenant's longest ping {totals.longest_wait:.2f} s of it; "
        f"{len(known)} faults")
    return len(known)


def tell(plan: Plan, seed: int, finding: Finding, actions: list[Action], folder: Path, say: Say) -> None:
    """Says what was found, where, and how to see it again."""
    say(f"FOUND with seed {seed}, positions {finding.positions}: {finding}")
    shows = seen_again(folder / "again", finding, series=plan.series)
    shortest = minimise(actions, finding, shows, MINIMISING)
    file = folder / f"finding-{seed}-{finding.oracle}-{finding.positions[-1]}.jsonl"
    again = f"--prosody {plan.series} " if plan.series else ""
    if not shortest:
        file.write_text("".join(action.line() + "\n" for action in actions))
        say(f"   not seen again alone; all of it: scripts/fuzz stanzas {again}--replay {file}")
        return
    file.write_text("".join(action.line() + "\n" for action in shortest))
    for action in shortest:
        say(f"   {action.position} {action.actor} {action.do}: {str(action.data)[:1500]}")
    say(f"   again: scripts/fuzz stanzas {again}--replay {file}")


def replay(file: Path, folder: Path, series: str | None, say: Say) -> int:
    """Does the actions of a file, one after the other; the number of faults."""
    actions = [Action.of(line) for line in file.read_text().splitlines()]
    report = Round(folder, step=1, series=series).run(actions)
    say(str(report))
    for finding in report.findings:
        say(f"FOUND at {finding.positions}: {finding}")
    return len(report.findings)
