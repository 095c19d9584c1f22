"""Folders for what a test run writes."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.paths import ROOT


@contextmanager
def new_folder(part: str, session: pytest.Session) -> Iterator[Path]:
    """A new folder under target/tests/; it stays when a test fails meanwhile."""
    path = ROOT / "target" / "tests" / f"{part}-{uuid.uuid4().hex[:8]}"
    path.mkdir(parents=True)
    failed = session.testsfailed
    yield path
    if session.testsfailed == failed:
        shutil.rmtree(path)
