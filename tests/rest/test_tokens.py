"""JWT access tokens: what is accepted, and every way of forging one that is known."""

import base64
import json
import time

import pytest

from support.access_tokens import ISSUER, Key, base64url, claims, forge
from support.functions import LOGIN, PROBLEM, problem

CHALLENGE = 'Bearer realm="Users"'
INVALID = 'Bearer realm="Users", error="invalid_token"'
LOG_LINE = 'Authenticate no-user error Bearer realm="Users", error="invalid_token"'


def refused(api, token: str) -> None:
    """401 with the challenge, and the error line of section 6 with the reason."""
    mark = api.mark()
    answer = api.call("GET", LOGIN, token)
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == INVALID
    lines = api.logged(mark, LOG_LINE)
    assert len(lines) == 1, api.log(mark)
    assert lines[0]["level"] == "error"
    assert lines[0]["reason"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_each_accepted_algorithm_works(api, keys, user, algorithm):
    assert api.login(keys[algorithm].sign(claims(user)))["jid"] == user


def test_an_audience_may_be_one_of_several(api, keys, user):
    assert api.login(keys["RS256"].sign(claims(user, aud=["account", "sippo-xmpp"])))["jid"] == user
    refused(api, keys["RS256"].sign(claims(user, aud=["account", "sippo-xmpp2"])))
    refused(api, keys["RS256"].sign(claims(user, aud=[])))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
def test_alg_none(api, user, alg):
    refused(api, forge({"alg": alg, "typ": "JWT"}, claims(user)))
    refused(api, forge({"alg": alg, "kid": "rs256-1"}, claims(user), signature=b"x" * 256))


def test_hs256_with_the_public_key_as_secret(api, keys, user):
    for key in keys.values():
        pem = key.public_pem()
        jwk = json.dumps(key.jwk()).encode()
        for secret in (pem, pem.strip(), jwk, b""):
            for header in ({"alg": "HS256", "kid": key.kid}, {"alg": "HS256"}):
                refused(api, forge(header, claims(user), secret))


def test_the_algorithm_is_bound_to_the_key(api, keys, user):
    payload = claims(user)
    for key in keys.values():
        head, body, signature = key.sign(payload).split(".")
        for other in ("RS256", "ES256", "EdDSA", "RS512", "PS256", "ES384", "HS256"):
            if other != key.algorithm:
                header = base64url(json.dumps({"alg": other, "kid": key.kid}).encode())
                refused(api, f"{header}.{body}.{signature}")


def test_unknown_kid_and_a_key_in_the_header(api, keys, user):
    stranger = Key("RS256", "stranger")
    refused(api, stranger.sign(claims(user)))
    refused(api, stranger.sign(claims(user), kid=keys["RS256"].kid))
    refused(api, stranger.sign(claims(user), jwk=stranger.jwk()))
    refused(api, stranger.sign(claims(user), jku="https://127.0.0.1:1/jwks", kid=None))
    refused(api, keys["ES256"].sign(claims(user), kid=keys["RS256"].kid))


@pytest.mark.parametrize("changes", [
    {"without": ("exp",)}, {"without": ("iss",)}, {"without": ("aud",)},
    {"iss": ISSUER + "/"}, {"iss": ISSUER.upper()}, {"iss": [ISSUER]}, {"iss": None},
    {"aud": "account"}, {"aud": ""}, {"aud": None}, {"aud": {"sippo-xmpp": 1}}, {"aud": "Sippo-XMPP"},
    {"exp": "later"}, {"exp": None}, {"nbf": "later"},
])
def test_claims_that_are_missing_or_wrong(api, keys, user, changes):
    refused(api, keys["ES256"].sign(claims(user, **changes)) if "iss" not in changes or isinstance(
        changes["iss"], str) else forge_signed(keys["ES256"], claims(user, **changes)))


def forge_signed(key: Key, payload: dict) -> str:
    """Signs claims that the signing library would not."""
    import jwt
    return jwt.api_jws.encode(json.dumps(payload).encode(), key.private, algorithm=key.algorithm,
                              headers={"kid": key.kid})


def test_times_with_at_most_a_minute_of_leeway(api, keys, user):
    now = int(time.time())
    refused(api, keys["ES256"].sign(claims(user, exp=now - 65)))
    refused(api, keys["ES256"].sign(claims(user, nbf=now + 90)))
    refused(api, keys["ES256"].sign(claims(user, exp=0)))
    assert api.login(keys["ES256"].sign(claims(user, nbf=now - 5)))["jid"] == user
    assert api.login(keys["ES256"].sign(claims(user, exp=now + 3600.5)))["jid"] == user


def test_tampering(api, keys, user):
    head, body, signature = keys["ES256"].sign(claims(user)).split(".")
    other = base64url(json.dumps(claims("mallory@example.test")).encode())
    refused(api, f"{head}.{other}.{signature}")
    refused(api, f"{head}.{body}.{signature[:-4]}AAAA")
    refused(api, f"{head}.{body}.")
    for text in ("abc", "a.b", "a.b.c", "a.b.c.d", "....", f"{head}.{body}", f"{head}..{signature}"):
        refused(api, text)


@pytest.mark.parametrize("header", [
    None, "", "Bearer", "Bearer ", "Basic YWxpY2U6cGFzc3dvcmQ=", "Bearer a b", "bearer\ta", "Token abc", "a.b.c",
    "Bearer " + "a" * 20_000,
])
def test_no_header_or_a_malformed_one(api, header):
    mark = api.mark()
    status, headers, body = api.call_with_header("X-Other" if header is None else "Authorization", header or "")
    assert status == 401, body
    assert headers["www-authenticate"] == CHALLENGE
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == PROBLEM
    assert api.log(mark, LOG_LINE) == []


def test_the_scheme_in_any_case_and_spaces_around(api, token, user):
    for value in (f"bearer {token}", f"BEARER {token}", f"Bearer   {token}", f"  Bearer {token}   "):
        status, _, body = api.call_with_header("Authorization", value)
        assert status == 200, body
        answer = json.loads(body)
        api.secrets.update((token, answer["token"]))
        assert answer["jid"] == user


def test_two_authorization_headers(api, token):
    api.secrets.add(token)
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    answer = api.http.get(LOGIN, headers=twice)
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == CHALLENGE


def test_the_log_names_the_user_that_the_token_claimed(api, user):
    mark = api.mark()
    api.call("GET", LOGIN, Key("ES256", "stranger").sign(claims(user)))
    [line] = api.logged(mark, LOG_LINE)
    assert any(user in value for name, value in line.items() if "user" in name and isinstance(value, str)), line


def test_a_hostile_name_cannot_forge_log_lines(api):
    mark = api.mark()
    name = 'x"}\n{"level":"error","message":"forged"}\n'
    api.call("GET", LOGIN, Key("ES256", "stranger").sign(claims("a@b", preferred_username=name)))
    assert api.log(mark, "forged") == []
    assert len(api.logged(mark, LOG_LINE)) == 1


def test_base64_padding_is_no_second_form(api, keys, user):
    head, body, signature = keys["RS256"].sign(claims(user)).split(".")
    padded = base64.urlsafe_b64encode(base64.urlsafe_b64decode(body + "==")).decode()
    if padded != body:
        problem(api.call("GET", LOGIN, f"{head}.{padded}.{signature}"), 401)


@pytest.mark.parametrize("marks", [
    {"typ": "ID"}, {"typ": "Refresh"}, {"typ": "Offline"}, {"typ": "Logout"}, {"token_use": "id"},
    {"token_type": "refresh_token"}, {"cnf": {"jkt": "abc"}}, {"at_hash": "abc"},
    {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
], ids=str)
def test_other_tokens_of_the_issuer_are_no_access_tokens(api, keys, user, marks):
    refused(api, keys["ES256"].sign(claims(user, **marks)))


@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "secevent+jwt", "ID"])
def test_the_header_may_say_that_it_is_another_token(api, keys, user, typ):
    refused(api, keys["ES256"].sign(claims(user), typ=typ))


@pytest.mark.parametrize("marks", [{"typ": "Bearer"}, {"token_use": "access"}, {"token_type": "Bearer"}], ids=str)
def test_what_is_marked_as_an_access_token_is_one(api, keys, user, marks):
    for typ in ("JWT", "at+jwt"):
        assert api.login(keys["ES256"].sign(claims(user, **marks), typ=typ))["jid"] == user


def test_an_issuers_own_mark_is_configured(functions, keys, user):
    token = keys["ES256"].sign(claims(user, typ="urn:example:session"))
    with functions(only=["login"], SIPPO_AUTH__TOKEN_TYPES="urn:example:session") as api:
        assert api.login(token)["jid"] == user
        refused(api, keys["ES256"].sign(claims(user, typ="ID")))


def test_a_claim_of_another_type_is_told(functions, keys, user):
    with functions(only=["login"]) as api:
        for claim, value, kind in [
            ("capabilities", {"chat": True}, "an object"), ("capabilities", 5, "a number"),
            ("preferred_username", 5, "a number"), ("domain", ["example.test"], "an array"),
        ]:
            mark = api.mark()
            expected = "capability-required" if claim == "capabilities" else "identity-missing"
            problem(api.call("GET", LOGIN, keys["ES256"].sign(claims(user, **{claim: value}))), 403, expected)
            [line] = api.logged(mark, "A caller with a valid access token may not use chat")
            assert line["level"] == "warn"
            assert f"the claim {claim} is {kind}" in line["reason"]


@pytest.mark.parametrize("capabilities", ["chat", "audio chat"])
def test_capabilities_may_be_a_string_of_words(api, keys, user, capabilities):
    assert api.login(keys["ES256"].sign(claims(user, capabilities=capabilities)))["jid"] == user


def test_claims_may_be_nested(functions, keys, user):
    name, _, domain = user.partition("@")
    nested = claims(user, realm_access={"roles": ["chat"]}, person={"login": name, "org": {"domain": domain}})
    for flat in ("preferred_username", "domain", "capabilities"):
        del nested[flat]
    with functions(only=["login"], SIPPO_AUTH__CAPABILITIES_CLAIM="realm_access.roles",
                   SIPPO_AUTH__USERNAME_CLAIM="person.login", SIPPO_AUTH__DOMAIN_CLAIM="person.org.domain") as api:
        assert api.login(keys["ES256"].sign(nested))["jid"] == user


def test_a_time_may_have_a_fraction_and_is_no_text(api, keys, user):
    assert api.login(keys["ES256"].sign(claims(user, exp=time.time() + 300.5)))["jid"] == user
    refused(api, keys["ES256"].sign(claims(user, exp=str(int(time.time()) + 300))))


def test_a_long_token_works_and_one_beyond_the_gateways_limit_is_told(api, keys, user):
    long = keys["ES256"].sign(claims(user, filler="x" * 6_500))
    assert len(long) > 8_800
    assert api.login(long)["jid"] == user
    answer = api.call("GET", LOGIN, keys["ES256"].sign(claims(user, filler="x" * 8_000)))
    assert "longer than" in problem(answer, 401)["detail"]
