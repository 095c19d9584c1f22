"""Folders and supervisors for the tests of the local stack's own programs."""

from __future__ import annotations

import pytest

from stack.layout import Layout
from stack.supervisor import Supervisor
from support.folders import new_folder


@pytest.fixture
def layout(request: pytest.FixtureRequest):
    """The files of a stack of the test's own; they stay when it has failed."""
    with new_folder("stack", request.session) as folder:
        layout = Layout(folder)
        layout.create()
        yield layout


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
