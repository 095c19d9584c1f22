"""Folders and supervisors for the tests of the local stack's own programs."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from stack.layout import ROOT, Layout
from stack.supervisor import Supervisor


@pytest.fixture
def layout(request: pytest.FixtureRequest):
    """The files of a stack of the test's own; they stay when it has failed."""
    folder = ROOT / "target" / "tests" / f"stack-{uuid.uuid4().hex[:8]}"
    layout = Layout(folder)
    layout.create()
    failures = request.session.testsfailed
    yield layout
    if request.session.testsfailed == failures:
        shutil.rmtree(folder)


@pytest.fixture
def said() -> list[str]:
    """What the supervisor has said."""
    return []


@pytest.fixture
def supervisor(layout: Layout, said: list[str]):
    """Stops all that it has started."""
    supervisor = Supervisor(layout, said.append)
    yield supervisor
    supervisor.stop()
