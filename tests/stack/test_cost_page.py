"""docs/COST.md says what scripts/cost and the measured figures say."""

from __future__ import annotations

import re
import subprocess
from dataclasses import asdict

from stack.costs import EVENTS, Habits, Prices, month, prices_of
from stack.paths import ROOT

PAGE = (ROOT / "docs" / "COST.md").read_text()


def run(*arguments: str) -> str:
    done = subprocess.run([ROOT / "scripts" / "cost", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_the_table_of_the_script():
    assert run() in PAGE


def test_the_page_has_the_measured_events():
    for name, calls in EVENTS.items():
        assert f"| {name} | {calls.reads} | {calls.writes} | {calls.sends} |" in PAGE


def test_what_is_given_counts():
    assert "| users | 5,000 |" in run("5000")
    assert run("5000", "--logins-day", "8") != run("5000") != run("5000", "--sqs-million", "4")
    nothing = Habits(**dict.fromkeys(Habits.__dataclass_fields__, 0))
    assert month(5000, nothing) == dict.fromkeys(month(0), 0.0) | {"fixed": Prices().fixed}


def test_a_month_is_reckoned_from_the_events():
    """One join and one leave, worked out by hand."""
    habits = Habits(logins_day=0, lists_day=0, joins_month=1, groups_month=0, conferences_month=0)
    prices = Prices(read_million=1, write_million=100, sqs_million=10)
    joined, left = EVENTS["one participant joins"], EVENTS["one participant leaves"]
    paid = month(1_000_000, habits, prices)
    assert paid["DynamoDB"] == joined.reads + left.reads + 100 * (joined.writes + left.writes)
    assert paid["SQS"] == 2 * 3 * 10 and paid["API Gateway"] == 0


def test_the_calculator_reads_the_pages_prices():
    """One table, with its date beside it, and nothing in it that does not count."""
    table = prices_of(PAGE)
    assert table == asdict(Prices())
    assert re.search(r"from memory, as of \w+ 20\d\d", PAGE) and re.search(r"^From memory, as of \w+ 20\d\d", PAGE, re.MULTILINE)
    assert prices_of(PAGE.replace("| `sqs_million` | 0.40 |", "| `sqs_million` | 0.80 |")) == table | {"sqs_million": 0.8}
