"""Puts tests/ and scripts/ on the import path: `support` is shared by all tests, `stack` with the scripts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
for path in (TESTS.parent / "scripts", TESTS):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A new folder under target/tests/ for this run; it stays when a test has failed."""
    from support.folders import new_folder
    with new_folder("run", request.session) as path:
        yield path
