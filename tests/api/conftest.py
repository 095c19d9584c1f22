"""The API's documents, and the same running functions as the REST tests have."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from event_document import Message, messages
from rest.conftest import (  # noqa: F401
    api, authority, config_dir, environment, functions, keys, server, token, token_for, user)

EVENTS = Path(__file__).resolve().parents[2] / "events"


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
