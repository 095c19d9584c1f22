"""CloudWatch's embedded metric format, as its specification has it, and the metrics that docs/METRICS.md names."""

from __future__ import annotations

import re
import time
from typing import Any

from stack.paths import ROOT

ROW = re.compile(r"^\| `(\w+)` \| (Count|Milliseconds) \|", re.MULTILINE)
UNITS = dict(ROW.findall((ROOT / "docs" / "METRICS.md").read_text()))


def values(line: dict[str, Any]) -> dict[str, list[float]]:
    """The metrics of one line, after a check of its form."""
    head = line["_aws"]
    assert abs(time.time() * 1000 - head["Timestamp"]) < 3_600_000, "milliseconds since 1970, and not long ago"
    [directive] = head["CloudWatchMetrics"]
    assert directive["Namespace"] == "SippoXmpp"
    of_cell = ["cell"] if "cell" in line else []
    assert directive["Dimensions"] == [["service", *of_cell]] and isinstance(line["service"], str), "no others: each costs"
    found = {}
    for metric in directive["Metrics"]:
        assert metric["Unit"] == UNITS[metric["Name"]]
        value = line[metric["Name"]]
        found[metric["Name"]] = value if isinstance(value, list) else [value]
        assert 1 <= len(found[metric["Name"]]) <= 100
    return found


def total(lines: list[dict[str, Any]], name: str, cell: str | None = None) -> float:
    """The sum of a metric, of all XMPP servers together or of one of several."""
    return sum(sum(values(line).get(name, [])) for line in lines if line.get("cell") == cell)
