"""The issuer's key set over HTTPS: cached, refreshed with restraint, and what happens without it."""

import threading

import pytest

from support.access_tokens import Key, claims, jwks
from support.functions import LOGIN, problem
from support.issuer_double import HttpDouble


class KeySet:
    """Publishes keys; `gate` holds answers back while it is cleared."""

    def __init__(self, *keys: Key) -> None:
        self.keys, self.status = list(keys), 200
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, *_: object):
        self.gate.wait(10)
        return self.status, jwks(*self.keys).encode()


@pytest.fixture
def key_set() -> KeySet:
    return KeySet(Key("RS256", "first"))


@pytest.fixture
def issuer(authority, key_set):
    with HttpDouble(key_set, authority.server_context()) as double:
        yield double


@pytest.fixture
def api(functions, authority, issuer):
    """One copy of the login function: its cache is what is tested."""
    with functions(only=["login"], SIPPO_AUTH__JWKS_URL=f"{issuer.url}/jwks",
                   SIPPO_TLS__CA_FILE=str(authority.ca_file)) as running:
        yield running


def test_the_keys_are_fetched_once(api, issuer, key_set, user):
    for _ in range(20):
        api.login(key_set.keys[0].sign(claims(user)))
    assert len(issuer.requests) == 1


def test_a_storm_of_unknown_kids_does_not_reach_the_issuer(api, issuer, key_set, user):
    api.login(key_set.keys[0].sign(claims(user)))
    strangers = [Key("ES256", f"unknown-{number}") for number in range(50)]
    for stranger in strangers:
        problem(api.call("GET", LOGIN, stranger.sign(claims(user))), 401)
    # The first fetch, and at most one for the unknown ones within the pause between two.
    assert len(issuer.requests) <= 2
    assert issuer.most_concurrent == 1
    api.login(key_set.keys[0].sign(claims(user)))


def test_a_new_key_is_found_without_a_restart(api, issuer, key_set, user):
    second = Key("ES256", "second")
    key_set.keys.append(second)
    # Nothing was fetched before: the new key is there at the first look.
    assert api.login(second.sign(claims(user)))["jid"] == user
    assert api.login(key_set.keys[0].sign(claims(user)))["jid"] == user
    assert len(issuer.requests) == 1


def test_without_keys_a_call_is_to_be_repeated(functions, authority, issuer, key_set, user):
    key_set.status = 500
    with functions(only=["login"], SIPPO_AUTH__JWKS_URL=f"{issuer.url}/jwks",
                   SIPPO_TLS__CA_FILE=str(authority.ca_file)) as api:
        answer = api.call("GET", LOGIN, key_set.keys[0].sign(claims(user)))
        problem(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1


def test_an_issuer_that_does_not_answer_costs_less_than_five_seconds(api, key_set, user):
    key_set.gate.clear()
    answer = api.call("GET", LOGIN, key_set.keys[0].sign(claims(user)))
    key_set.gate.set()
    problem(answer, 503)
    assert answer.elapsed.total_seconds() < 5


def test_a_certificate_of_an_unknown_authority_is_not_trusted(functions, issuer, key_set, user):
    with functions(only=["login"], SIPPO_AUTH__JWKS_URL=f"{issuer.url}/jwks") as api:
        problem(api.call("GET", LOGIN, key_set.keys[0].sign(claims(user))), 503)
    assert issuer.requests == []
