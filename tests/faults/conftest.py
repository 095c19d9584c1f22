"""A local stack of its own for the trial: what it goes through would be in the way of other tests."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from stack.layout import ROOT
from support.platform import Platform
from support.soak.trial import OPTIONS


@pytest.fixture
def folder(request: pytest.FixtureRequest):
    """A new folder under target/; it stays when the test has failed."""
    path = ROOT / "target" / "tests" / f"faults-{uuid.uuid4().hex[:8]}"
    path.mkdir(parents=True)
    failed = request.session.testsfailed
    yield path
    if request.session.testsfailed == failed:
        shutil.rmtree(path)


@pytest.fixture
def platform(folder: Path):
    """The stack. Nobody is online before the end, so that all invitations wait for her."""
    platform = Platform(folder, log_level="debug", prosody_options=OPTIONS).start()
    yield platform
    platform.stop()
