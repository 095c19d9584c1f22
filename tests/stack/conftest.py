"""Folders and supervisors for the tests of the local stack's own programs."""

from __future__ import annotations

import pytest

from stack.paths import StackPaths
from stack.supervisor import Supervisor
from support.folders import new_folder


@pytest.fixture
def paths(request: pytest.FixtureRequest):
    """The files of a stack of the test's own; they stay when it has failed."""
    with new_folder("stack", request.session) as folder:
        paths = StackPaths(folder)
        paths.create()
        yield paths


@pytest.fixture
def said() -> list[str]:
    """What the supervisor has said."""
    return []


@pytest.fixture
def supervisor(paths: StackPaths, said: list[str]):
    """Stops all that it has started."""
    supervisor = Supervisor(paths, said.append)
    yield supervisor
    supervisor.stop()
