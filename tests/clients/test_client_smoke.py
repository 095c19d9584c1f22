"""The libraries that have a way of their own with stanzas: login with fresh tokens, messages, and what follows a cut."""

import pytest


@pytest.fixture
def library() -> str:
    """In place of those that do all."""
    return "stanza"


@pytest.fixture
def alice(person):
    """A user with a page of stanza's."""
    alice = person("alice")
    alice.run("""
        window.token = token;
        window.login = async () => { window.logins = (window.logins ?? 0) + 1;
          return guide.makeLogin(url, async () => window.token)(); };
        window.received = [];
        window.client = await guide.connect(login, {
          onOnline: (client) => { counts.online += 1; client.sendPresence(); },
          onResumed: () => { counts.resumed += 1; },
          onMessage: (message) => received.push(message.body),
          onEnd: (error) => { counts.ended += 1; lastError = error; },
        });
        await wait(() => counts.online === 1);
    """, url=alice.platform.stack.functions.url, token=alice.access_token())
    return alice


@pytest.fixture
def bob(platform):
    """A user with a client of the tests'."""
    return platform.online("bob-of-smoke@example.test")


def test_stanza_chats_both_ways(alice, bob):
    alice.run("client.sendMessage({ to, body: 'hello <&>', type: 'chat' })", to=bob.bare_jid)
    bob.wait_message("hello <&>")
    bob.message(alice.jid, "hello back")
    alice.wait("received.includes('hello back')")


def test_stanza_resumes_with_another_login_token(alice, bob, proxy):
    before = alice.run("return logins")
    with proxy.refusing():
        proxy.cut()
        bob.message(alice.jid, "meanwhile")
        bob.sync()
    alice.wait("counts.resumed === 1 && received.includes('meanwhile')")
    assert alice.run("return logins") > before


def test_stanza_begins_anew_when_the_server_was_killed(alice):
    alice.platform.kill("prosody")
    alice.wait("counts.online === 2")
    bob = alice.platform.online("bob-after-smoke@example.test")
    bob.message(alice.jid, "after")
    alice.wait("received.includes('after')")


def test_stanza_stops_when_the_user_may_not_chat_any_more(alice, proxy):
    alice.run("window.token = without", without=alice.platform.stack.issuer.token(alice.name, alice.domain, []))
    proxy.cut()
    alice.wait("counts.ended === 1")
    assert alice.run("return lastError.status") == 403
