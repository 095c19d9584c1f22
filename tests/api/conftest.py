"""The API's documents, and the same running functions as the REST tests have."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

TESTS = Path(__file__).resolve().parents[1]
for folder in (TESTS.parent / "scripts", TESTS, TESTS / "rest"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from rest.conftest import (  # noqa: E402, F401
    api, authority, config_dir, environment, folder, functions, keys, server, token, token_for, user)

from event_document import Message, messages  # noqa: E402

EVENTS = TESTS.parent / "events"


@pytest.fixture(scope="session")
def openapi() -> dict:
    """events/openapi.yaml."""
    return yaml.safe_load((EVENTS / "openapi.yaml").read_text())


@pytest.fixture(scope="session")
def asyncapi() -> dict:
    """events/asyncapi.yaml."""
    return yaml.safe_load((EVENTS / "asyncapi.yaml").read_text())


@pytest.fixture(scope="session")
def all_messages(asyncapi) -> list[Message]:
    """What it says of its messages."""
    return messages(asyncapi)
