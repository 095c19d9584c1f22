"""A local stack of its own for the trial: what it goes through would be in the way of other tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.folders import new_folder
from support.platform import Platform
from support.soak.trial import OPTIONS


@pytest.fixture
def folder(request: pytest.FixtureRequest):
    """A new folder under target/; it stays when the test has failed."""
    with new_folder("faults", request.session) as path:
        yield path


@pytest.fixture
def platform(folder: Path):
    """The stack. Nobody is online before the end, so that all invitations wait for them."""
    platform = Platform(folder, log_level="debug", prosody_options=OPTIONS).start()
    yield platform
    platform.stop()
