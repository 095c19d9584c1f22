"""AWS fails in every way that it may while events flow: every room ends as in the broker's order, no event is lost, and an
invitation that comes again has the same id."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.aws_proxy import KINDS, AwsProxy, at_random
from support.platform import Platform
from support.soak.trial import OPTIONS, Plan, run
from template import calls

PLAN = Plan(seed=14, rooms=30, users=10, rate=40, seconds=8, gap=(1.0, 1.0), strikes=())
EVENTS = 330
"""About so many are published."""
OF_THE_SDK = re.compile(r"aws_|smithy|mark the connection")


@pytest.fixture
def proxy() -> Iterator[AwsProxy]:
    """Between functions and bridge on one side and the fake AWS on the other."""
    with contextlib.closing(AwsProxy()) as proxy:
        yield proxy


@pytest.fixture
def platform(folder: Path, proxy: AwsProxy) -> Iterator[Platform]:
    """The stack, behind the proxy."""
    platform = Platform(folder, log_level="debug", prosody_options=OPTIONS, environment={"AWS_ENDPOINT_URL": proxy.url})
    proxy.target_port = platform.stack.ports.queue
    platform.start()
    yield platform
    platform.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", [0.15, 0.3])
def test_every_room_is_exact(platform: Platform, proxy: AwsProxy, share: float):
    proxy.choose = at_random(share, seed=int(100 * share))
    report = run(platform, PLAN)
    proxy.choose = lambda *_: None
    summary = "\n".join(report.lines())
    print(summary, dict(proxy.calls), dict(proxy.faults), sep="\n")
    assert report.published > 0.8 * EVENTS and report.verdict.existing > 0 and report.verdict.invitations > 0
    assert proxy.faults.keys() == set(KINDS), "each kind at least once"
    assert share / 2 < proxy.faults.total() / proxy.calls.total() < share * 2
    assert not report.verdict.divergences and not report.dead and report.verdict.surplus == 0, \
        f"{summary}\nevidence: {platform.paths.state}/divergences.json"
    # Ours say what happened; the SDK's would only puzzle.
    logged = [line for name in ("functions", "bridge") for line in platform.log(name) if line["level"] in ("warn", "error")]
    assert [line for line in logged if OF_THE_SDK.search(f"{line.get('location')} {line['message']}")] == []
    # tests/template reads from the sources which calls there are: whatever was called is among them.
    called = {re.sub(r"(?<!^)([A-Z])", r"_\1", action).lower() for action in proxy.calls}
    assert called <= calls.SDK.keys() and {calls.SDK[one] for one in called} <= calls.everywhere()
