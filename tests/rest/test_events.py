"""Events as API Gateway makes them: its decoded paths, its joined headers, and the samples in events/."""

import json

import pytest

from stack.paths import ROOT
from support.functions import LIST

SAMPLES = {
    "login": 200, "individual-chat-list-get": 200, "individual-chat-list-put": 204, "individual-chat-list-delete": 204,
    "rooms": 200,
}


def sample(name: str, token: str, path: str | None = None) -> dict:
    """The sample event with a live token."""
    event = json.loads((ROOT / "events" / f"{name}.json").read_text())
    event["headers"]["authorization"] = f"Bearer {token}"
    if path is not None:
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["pathParameters"] = {"jid": path.removeprefix(f"{LIST}/")}
    return event


@pytest.mark.parametrize(("name", "status"), SAMPLES.items())
def test_the_samples_work(api, token, name, status):
    event = sample(name, token)
    answer = api.invoke(name, event)
    assert answer["statusCode"] == status, answer
    assert answer["headers"]["cache-control"] == "no-store"
    if name == "login":
        api.secrets.add(json.loads(answer["body"])["token"])


@pytest.mark.parametrize(("decoded", "jid"), [
    ("bob@example.test/phone", "bob@example.test"),
    ("100%@example.test", "100%@example.test"),
    ("100%25@example.test", "100%25@example.test"),
    (r"d\27artagnan@example.test", r"d\27artagnan@example.test"),
    ("ünï@example.test", "ünï@example.test"),
    ("a?b#c@example.test", "a?b#c@example.test"),
])
def test_paths_that_api_gateway_has_decoded_are_not_decoded_again(api, token, decoded, jid):
    answer = api.invoke("individual-chat-list-put", sample("individual-chat-list-put", token, f"{LIST}/{decoded}"))
    assert answer["statusCode"] == 204, answer
    assert api.list(token) == [jid]


def test_an_error_names_the_gateways_request_id(api, token):
    event = sample("individual-chat-list-put", token, f"{LIST}/no-jid")
    answer = api.invoke("individual-chat-list-put", event)
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["instance"] == event["requestContext"]["requestId"]


def test_joined_authorization_headers_are_malformed(api, token):
    event = sample("login", token)
    event["headers"]["authorization"] += f",Bearer {token}"
    answer = api.invoke("login", event)
    assert answer["statusCode"] == 401
    assert answer["headers"]["www-authenticate"] == 'Bearer realm="Users"'
