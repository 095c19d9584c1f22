"""converse.js, a client with its user interface, as docs/CLIENTS.md starts it."""

import pytest


@pytest.fixture
def library() -> str:
    """In place of those that do all."""
    return "converse"


@pytest.fixture
def alice(person):
    """A user who has converse.js in front of them."""
    alice = person("alice")
    alice.wait("window.converse !== undefined")
    alice.run("""
        window.token = token;
        window.login = async () => { window.logins = (window.logins ?? 0) + 1;
          return guide.makeLogin(url, async () => window.token)(); };
        converse.plugins.add("tests", { initialize() {
          window.api = this._converse.api;
          api.listen.on("connected", () => { counts.online += 1; });
          api.listen.on("reconnected", () => { counts.resumed += 1; });
        } });
        guide.startConverse(converse, login, { whitelisted_plugins: ["login-token", "tests"], view_mode: "fullscreen" },
          (error) => { counts.ended += 1; lastError = error; });
        await wait(() => counts.online === 1);
    """, url=alice.platform.stack.functions.url, token=alice.access_token(), timeout=60)
    return alice


def test_converse_shows_what_comes_and_sends(alice):
    bob = alice.platform.online("bob-of-converse@example.test")
    bob.message(alice.jid, "hello converse")
    alice.run("await api.chats.open(jid, {}, true)", jid=bob.bare_jid)
    alice.wait("document.body.innerText.includes('hello converse')")
    alice.run("const chat = await api.chats.get(jid); await chat.sendMessage({ body: 'hello from converse' })", jid=bob.bare_jid)
    bob.wait_message("hello from converse")


def test_converse_comes_back_with_another_login_token(alice, proxy):
    bob = alice.platform.online("bob-of-converse@example.test")
    before = alice.run("return logins")
    proxy.cut()
    alice.wait("counts.resumed >= 1")
    assert alice.run("return logins") > before
    bob.message(alice.jid, "after the cut")
    alice.run("await api.chats.open(jid, {}, true)", jid=bob.bare_jid)
    alice.wait("document.body.innerText.includes('after the cut')")
