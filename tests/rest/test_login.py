"""GET /sapi/xmpp/login, and what its answer is good for."""

import datetime
import time

import pytest

from support.functions import LOGIN, ok, problem
from support.xmpp import AuthFailed, Client


def test_the_answer_holds_what_a_chat_client_needs(api, server, user, token):
    before = time.time()
    answer = ok(api.call("GET", LOGIN, token))
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"jid", "token", "expiresAt", "xmppUrl", "mucDomain"}
    assert body["jid"] == user
    assert body["xmppUrl"] == server.ws_url
    assert body["mucDomain"] == "conference.example.test"
    assert body["expiresAt"].endswith("Z")
    expires = datetime.datetime.fromisoformat(body["expiresAt"]).timestamp()
    assert before + 298 <= expires <= time.time() + 302
    assert len(body["token"]) <= 1023


def test_the_token_opens_a_session_of_its_user_and_nobody_elses(api, user, token, token_for):
    body = api.login(token)
    with Client(body["xmppUrl"], body["jid"], body["token"]) as session:
        assert session.jid.startswith(f"{user}/")
        session.sync()
    for other in (f"x{user}", "sippo@sippo-admin.internal", user.replace("example.test", "other.test")):
        with pytest.raises(AuthFailed):
            Client(body["xmppUrl"], other, body["token"]).connect()


def test_a_token_expires(functions, token):
    with functions(only=["login"], SIPPO_XMPP__LOGIN_TOKEN_TTL="1") as api:
        body = api.login(token)
        expires = datetime.datetime.fromisoformat(body["expiresAt"]).timestamp()
        # The server forgives clocks a few seconds; no event tells when they are over.
        deadline = time.monotonic() + 20
        while True:
            try:
                Client(body["xmppUrl"], body["jid"], body["token"]).connect().close()
            except AuthFailed:
                assert time.time() >= expires
                return
            assert time.monotonic() < deadline, "a token of one second still opens sessions"
            time.sleep(0.25)


def test_clients_are_told_the_public_url(functions, token):
    public = "wss://chat.example.com/xmpp-websocket"
    with functions(only=["login"], SIPPO_XMPP__PUBLIC_XMPP_URL=public) as api:
        assert api.login(token)["xmppUrl"] == public


def test_login_needs_no_xmpp_server(functions, token):
    # Port 1 of the loopback interface: nobody listens there.
    with functions(only=["login"], SIPPO_XMPP__XMPP_URL="ws://127.0.0.1:1/xmpp-websocket") as api:
        assert api.login(token)["token"]


def test_without_the_chat_capability_nothing_works(api, user, token_for):
    for capabilities in ([], ["video", "Chat", "chat "], None, "chats", {"chat": True}):
        token = token_for(user, capabilities=capabilities)
        for method, path in (("GET", LOGIN), ("GET", "/sapi/xmpp/individualChatList"),
                             ("PUT", "/sapi/xmpp/individualChatList/bob@example.test"),
                             ("DELETE", "/sapi/xmpp/individualChatList/bob@example.test")):
            problem(api.call(method, path, token), 403, "capability-required")
    token = token_for(user, without=("capabilities",))
    problem(api.call("GET", LOGIN, token), 403, "capability-required")
    # Whatever else they may be: the capability is looked at first.
    token = token_for("Sippo@sippo-admin.internal", capabilities=[])
    problem(api.call("GET", LOGIN, token), 403, "capability-required")
