"""Who may be whom: usernames on their way to JIDs (XEP-0106), and domains that are no tenants."""

import pytest

from support.functions import LIST, LOGIN, problem
from support.xmpp import Client

REFUSED = "A caller with a valid access token may not use chat"
ESCAPED = {
    "d'artagnan": r"d\27artagnan",
    "alice@mail.example": r"alice\40mail.example",
    "space cadet": r"space\20cadet",
    "a/b": r"a\2fb",
    "at&t:guy": r"at\26t\3aguy",
    'say "hi"': r"say\20\22hi\22",
    "<boss>": r"\3cboss\3e",
    r"c:\net": r"c\3a\net",
    r"trésor\20": r"trésor\5c20",
    "ünï": "ünï",
}


@pytest.mark.parametrize(("username", "localpart"), ESCAPED.items())
def test_usernames_are_escaped(api, token_for, username, localpart):
    body = api.login(token_for(f"{username}@example.test"))
    assert body["jid"] == f"{localpart}@example.test"
    with Client(body["xmppUrl"], body["jid"], body["token"]) as session:
        assert session.jid.partition("/")[0] == body["jid"]
        session.sync()


def test_an_escaped_user_has_a_chat_list_of_her_own(api, token_for):
    token = token_for("d'artagnan@example.test")
    assert api.put(token, "bob@example.test").status_code == 204
    assert api.list(token) == ["bob@example.test"]
    assert api.list(token_for("dartagnan@example.test")) == []
    assert api.delete(token, "bob@example.test").status_code == 204


@pytest.mark.parametrize("username", [
    "Alice", "ALICE",
    "ａlice",  # full-width a
    "ﬁona",  # ligature fi
    "Ⅷ",  # compatibility character
    "e\u0301va",  # decomposed é
    "ali\u00adce",  # soft hyphen, mapped to nothing
    " alice", "alice ",
    "", "a\u0000b", "a\nb", "a\u00a0b", "a\u200bb", "a\ue000b", "a\u202eb",
    "b" * 201, "@" * 67, "ü" * 101,
])
def test_usernames_that_preparation_would_change_are_refused(api, token_for, username):
    token = token_for(f"{username}@example.test")
    problem(api.call("GET", LOGIN, token), 403, "username-not-canonical")
    problem(api.call("GET", LIST, token), 403, "username-not-canonical")


@pytest.mark.parametrize("domain", ["Example.test", "EXAMPLE.TEST", "xn--bcher-kva.test", "XN--BCHER-KVA.test", "ｅxample.test"])
def test_a_domain_has_one_spelling(api, token_for, domain):
    problem(api.call("GET", LOGIN, token_for(f"alice@{domain}")), 403, "domain-not-served")


def test_who_is_refused_is_told_in_the_log(functions, token_for):
    with functions(only=["login"]) as api:
        mark = api.mark()
        problem(api.call("GET", LOGIN, token_for("alice@Example.test")), 403)
        [line] = api.logged(mark, REFUSED)
        assert (line["level"], line["username"], line["domain"]) == ("warn", "alice", "Example.test")
        assert "spelling" in line["reason"]
        for _ in range(60):
            problem(api.call("GET", LOGIN, token_for("alice@Example.test")), 403)
        assert len(api.log(mark, REFUSED)) < 60, "nobody can fill the log: 30 lines a minute from one process"


def test_the_longest_localpart_works(api, token_for):
    body = api.login(token_for(f"{'b' * 200}@example.test"))
    Client(body["xmppUrl"], body["jid"], body["token"]).connect().close()


@pytest.mark.parametrize("domain", [
    "sippo-admin.internal", "SIPPO-ADMIN.internal", "conference.example.test", "Conference.Example.test",
    "conference.sippo-admin.internal",
])
@pytest.mark.parametrize("username", ["sippo", "alice"])
def test_reserved_domains_are_no_tenants(api, token_for, username, domain):
    token = token_for(f"{username}@{domain}")
    for method, path in (("GET", LOGIN), ("GET", LIST), ("PUT", f"{LIST}/bob@example.test")):
        problem(api.call(method, path, token), 403)


@pytest.mark.parametrize("domain", ["", "exa mple.test", "a@b", "example.test/x", "x" * 1024])
def test_domains_that_are_none_are_refused(api, token_for, domain):
    token = token_for("x@y", preferred_username="alice", domain=domain)
    problem(api.call("GET", LOGIN, token), 403)


@pytest.mark.parametrize("changes", [
    {"without": ("preferred_username",)}, {"without": ("domain",)},
    {"preferred_username": 7}, {"domain": ["example.test"]}, {"preferred_username": None},
])
def test_a_token_that_names_nobody_is_refused(api, token_for, changes):
    answer = api.call("GET", LOGIN, token_for("alice@example.test", **changes))
    assert answer.status_code in (401, 403)
    problem(answer, answer.status_code)


def test_claims_can_have_other_names(functions, token_for):
    with functions(only=["login"], SIPPO_AUTH__USERNAME_CLAIM="upn", SIPPO_AUTH__DOMAIN_CLAIM="tenant",
                   SIPPO_AUTH__CAPABILITIES_CLAIM="roles") as api:
        token = token_for("x@y", upn="carol", tenant="example.test", roles=["chat"],
                          without=("preferred_username", "domain", "capabilities"))
        assert api.login(token)["jid"] == "carol@example.test"
        problem(api.call("GET", LOGIN, token_for("alice@example.test")), 403, "capability-required")


def test_a_domain_that_the_xmpp_server_does_not_serve(functions, token_for):
    """By functions of its own: others' tests may have used up the lines of this minute."""
    token = token_for("alice@nowhere.test")
    lists = ["individual-chat-list-get", "individual-chat-list-put", "individual-chat-list-delete"]
    with functions(only=["login", *lists]) as api:
        mark = api.mark()
        problem(api.call("GET", LIST, token), 403, "domain-not-served")
        [line] = api.logged(mark, REFUSED)
        assert (line["level"], line["user"], line["domain"]) == ("warn", "alice@nowhere.test", "nowhere.test")
        assert "is not served by the XMPP server" in line["reason"]
        problem(api.put(token, "bob@nowhere.test"), 403, "domain-not-served")
        problem(api.delete(token, "bob@nowhere.test"), 403, "domain-not-served")
