"""Opaque access tokens (RFC 7662)."""

import json
import secrets
import time

import pytest

from support.access_tokens import AUDIENCE
from support.functions import LIST, LOGIN, problem
from support.issuer_double import CLIENT_ID, CLIENT_SECRET, HttpDouble, Introspection
from support.wait import until
from test_tokens import INVALID, LOG_LINE


@pytest.fixture
def known() -> Introspection:
    return Introspection()


@pytest.fixture
def issuer(authority, known):
    with HttpDouble(known, authority.server_context()) as double:
        yield double


@pytest.fixture
def start(functions, authority, issuer):
    """Makes functions that ask the double."""
    def make(**changes: str | None):
        return functions(**{
            "only": ["login"], "SIPPO_AUTH__JWKS_URL": None, "SIPPO_AUTH__ISSUER": None,
            "SIPPO_AUTH__INTROSPECTION_URL": f"{issuer.url}/introspect",
            "SIPPO_AUTH__INTROSPECTION_CLIENT_ID": CLIENT_ID,
            "SIPPO_AUTH__INTROSPECTION_CLIENT_SECRET": CLIENT_SECRET,
            "SIPPO_TLS__CA_FILE": str(authority.ca_file), **changes})
    return make


def active(user: str, **changes) -> dict:
    """A positive answer."""
    username, _, domain = user.rpartition("@")
    good = {"active": True, "exp": int(time.time()) + 600, "aud": AUDIENCE, "preferred_username": username,
            "domain": domain, "capabilities": ["chat"]}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def test_an_active_token_logs_in_and_is_asked_about_once(start, issuer, known, user):
    token = secrets.token_urlsafe(24)
    known.tokens[token] = active(user)
    with start() as api:
        for _ in range(5):
            assert api.login(token)["jid"] == user
    assert len(issuer.requests) == 1


def test_tokens_that_are_not_good(start, known, user):
    cases = {
        "inactive": {"active": False}, "odd": {"active": "true"}, "empty": {},
        "aud": active(user, aud="account"), "no-aud": active(user, aud=None),
        "expired": active(user, exp=int(time.time()) - 120),
    }
    known.tokens |= cases
    with start() as api:
        for token in (*cases, "never-issued"):
            mark = api.mark()
            answer = api.call("GET", LOGIN, token)
            problem(answer, 401)
            assert answer.headers["www-authenticate"] == INVALID
            assert len(api.logged(mark, LOG_LINE)) == 1, token


def test_without_an_audience_none_is_checked(start, known, user):
    known.tokens["opaque-token-1"] = active(user, aud=None)
    with start(SIPPO_AUTH__AUDIENCE=None) as api:
        assert api.login("opaque-token-1")["jid"] == user


def test_nothing_is_kept_past_its_expiry(start, issuer, known, user):
    def logs_in() -> bool:
        known.tokens["short-lived-token"] = active(user, exp=int(time.time()) + 2)
        return api.call("GET", LOGIN, "short-lived-token").status_code == 200

    with start() as api:
        until(logs_in, "a login within two seconds, which a busy machine may take some tries for", 60)
        known.tokens["short-lived-token"] = {"active": False}
        # Until then the cached answer may serve; afterwards the issuer has to be asked.
        until(lambda: api.call("GET", LOGIN, "short-lived-token").status_code != 200, "the end of a cached answer", 10)
    assert len(issuer.requests) >= 2


def test_negative_answers_are_kept_for_seconds_only(start, known, user):
    with start() as api:
        problem(api.call("GET", LOGIN, "late-token"), 401)
        known.tokens["late-token"] = active(user)
        until(lambda: api.call("GET", LOGIN, "late-token").status_code == 200, "the issuer to be asked again", 30)


def test_an_issuer_that_fails_is_no_fault_of_the_token(start, known):
    known.status = 500
    with start() as api:
        answer = api.call("GET", LOGIN, "any-token")
        problem(answer, 503)
        assert "retry-after" in answer.headers


def test_our_own_credentials_being_wrong_is_no_fault_of_the_token(start, known, user):
    known.tokens["good-token"] = active(user)
    with start(SIPPO_AUTH__INTROSPECTION_CLIENT_SECRET="another-secret-altogether") as api:
        problem(api.call("GET", LOGIN, "good-token"), 503)


def test_capability_and_name_count_as_in_a_jwt(start, known, user):
    known.tokens["no-chat"] = active(user, capabilities=["video"])
    known.tokens["upper"] = active("Alice@example.test")
    with start(only=["login", "individual-chat-list-get"]) as api:
        problem(api.call("GET", LIST, "no-chat"), 403, "capability-required")
        problem(api.call("GET", LIST, "upper"), 403, "username-not-canonical")


@pytest.mark.parametrize("marks", [{"token_type": "refresh_token"}, {"typ": "ID"}, {"cnf": {"x5t#S256": "abc"}}], ids=str)
def test_only_access_tokens_are_taken(start, known, user, marks):
    known.tokens["other"] = active(user, **marks)
    known.tokens["access"] = active(user, token_type="Bearer")
    with start() as api:
        assert api.login("access")["jid"] == user
        assert api.call("GET", LOGIN, "other").headers["www-authenticate"] == INVALID


def test_a_refusal_counts_for_seconds(start, issuer, known, user):
    with start() as api:
        for _ in range(5):
            assert api.call("GET", LOGIN, "unknown").status_code == 401
    assert len(issuer.requests) == 1


def test_numbers_count_as_in_a_jwt(start, known, user):
    known.tokens["exponent"] = active(user, exp=1.9e9)
    known.tokens["text"] = active(user, exp=str(int(time.time()) + 600))
    with start() as api:
        assert api.login("exponent")["jid"] == user
        assert api.call("GET", LOGIN, "text").status_code == 401


def test_a_number_beyond_all_counts_as_in_a_jwt(start, known, user):
    """Nobody can take it in, so the token is no good: it is no fault of the issuer's."""
    known.tokens["beyond"] = json.dumps(active(user, exp=0)).replace('"exp": 0', '"exp": 1e400').encode()
    with start() as api:
        assert api.call("GET", LOGIN, "beyond").headers["www-authenticate"] == INVALID
