"""Levels, form and silence of the functions' log."""

import json
import re

import pytest

from support.access_tokens import Key, claims
from support.functions import LIST, LOGIN

ORDER = ["error", "warn", "info", "verbose", "debug", "silly"]


@pytest.mark.parametrize("level", ORDER)
def test_levels(functions, token, user, level):
    with functions(only=["login", "individual-chat-list-get"], SIPPO_LOG__LEVEL=level) as api:
        api.login(token)
        api.list(token)
        api.call("GET", LOGIN, Key("ES256", "stranger").sign(claims(user)))
        lines = [line for line in api.log() if line.get("location") != "local_lambda"]
        levels = {line["level"] for line in lines}
        assert levels <= set(ORDER[: ORDER.index(level) + 1])
        assert "error" in levels
        starting = [line for line in lines if line["message"] == "Starting endpoints"]
        assert len(starting) == (2 if level == "silly" else 0)
        assert all(line["level"] == "silly" for line in starting)
        info = [line for line in lines if line["level"] == "info"]
        assert bool(info) == (ORDER.index(level) >= ORDER.index("info"))


def test_lines_are_json_objects_with_time_and_level(api, token):
    api.login(token)
    lines = [line for line in api.log_file.read_text().splitlines() if line.strip()]
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert entry["level"] in ORDER
        assert isinstance(entry["message"], str)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", entry["timestamp"])


def test_lines_for_people(functions, token):
    with functions(only=["login"], SIPPO_LOG__FORMAT="text", SIPPO_LOG__LEVEL="info") as api:
        api.login(token)
        assert re.search(r"^\S+ info: Function started", api.log_file.read_text(), re.M)


def test_no_secret_is_logged_even_at_silly(api, token, token_for, user):
    assert api.secrets
    api.login(token)
    api.put(token, "bob@example.test")
    api.call("GET", LIST, token_for(user, exp=1))
    api.call("GET", LIST, token_for(user, capabilities=[]))
    api.call_with_header("Authorization", f"Bearer {token} {token}")
    api.assert_no_secrets()
    assert "Bearer ey" not in api.log_file.read_text()
