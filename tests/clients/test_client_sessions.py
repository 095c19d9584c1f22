"""Login, connection and resumption as docs/CLIENTS.md has them."""

import uuid

import pytest

from support.login_tokens import mint
from support.prosody import Server
from support.wait import until


def test_login_is_called_across_origins(person):
    alice = person(is_new=True).log_in()
    url = alice.platform.stack.functions.url + "/sapi/xmpp/login"
    assert ("OPTIONS", url) in alice.page.requests() and ("GET", url) in alice.page.requests()
    assert alice.run("return session.bareJid") == alice.jid


@pytest.mark.parametrize("library", ["xmpp-client"])
def test_an_access_token_that_has_expired_is_replaced_once(person):
    alice = person()
    answer = alice.run("""
        const asked = [];
        const login = guide.makeLogin(url, async (refresh) => { asked.push(refresh); return refresh ? good : expired; });
        const { jid } = await login();
        const refused = await guide.makeLogin(url, async () => expired)().catch((error) => error);
        const unable = await guide.makeLogin(url, async () => without)().catch((error) => error);
        return { jid, asked, status: refused.status, passing: refused.isPassing, type: unable.type };
    """, url=alice.platform.stack.functions.url, good=alice.access_token(), expired=alice.access_token(lifetime=-300.0),
        without=alice.platform.stack.issuer.token(alice.name, alice.domain, []))
    assert answer == {"jid": alice.jid, "asked": [False, True], "status": 401, "passing": False,
                      "type": "urn:sippo-xmpp:problem:capability-required"}


@pytest.mark.parametrize("library", ["xmpp-client"])
def test_without_a_service_the_login_may_be_tried_again(person):
    alice = person()
    assert alice.run("""
        const error = await guide.makeLogin("http://127.0.0.1:1", async () => "x")().catch((error) => error);
        return [error.name, error.isPassing];
    """) == ["LoginError", True]


def test_chat_both_ways(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    for sender, receiver in ((alice, bob), (bob, alice)):
        text = f"from {sender.name} <&>\"' é中\U0001f600"
        sender.say(receiver, text)
        receiver.wait_body(text)


@pytest.mark.parametrize("library", ["xmpp-client"])
def test_a_message_that_is_too_long_is_not_sent_and_ends_nothing(person):
    alice = person().log_in()
    assert alice.run("return guide.sendText(session, 'bob@example.test', 'y'.repeat(256 * 1024)).catch((error) => error.name)") \
        == "RangeError"
    alice.run("await ping()")
    assert alice.run("return counts.online + counts.resumed") == 1


@pytest.mark.parametrize("library", ["xmpp-client"])
def test_what_xml_cannot_hold_is_replaced(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    alice.say(bob, "a\u0001b\uffffc")
    bob.wait_body("a\ufffdb\ufffdc")


def test_a_connection_that_is_cut_resumes_and_loses_nothing(person, proxy):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    proxy.cut()
    bob.wait("counts.resumed === 1")
    alice.wait("counts.resumed === 1")
    alice.say(bob, "after the cut")
    bob.wait_body("after the cut")
    assert alice.run("return counts.online") == 1


def test_a_connection_cut_within_a_frame_resumes_and_loses_nothing(person, proxy):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    proxy.cut_after(50_000)  # the first message is one of 100,000
    alice.run("""
        for (let n = 0; n < 5; n += 1) await guide.sendText(session, to, `${n} ${"x".repeat(100_000)}`).catch(() => {});
    """, to=bob.jid)
    until(lambda: not proxy.waits_to_cut, "the cut")
    for one in (alice, bob):
        one.wait("counts.resumed === 1")
    bob.wait("bodies().length >= 5")
    assert bob.run("return bodies().map((text) => text.split(' ')[0])") == ["0", "1", "2", "3", "4"]


def test_a_connection_on_which_nothing_passes_any_more_is_left_and_resumes(person, proxy):
    alice = person("alice").log_in(keepAlive={"quiet": 0.5, "patience": 1})
    bob = alice.platform.online(f"bob-{alice.name}@{alice.domain}")
    proxy.freeze()
    bob.message(alice.jid, "into the void")
    alice.wait("counts.resumed === 1")
    alice.wait_body("into the void")
    assert alice.run("return counts.online") == 1


def test_what_came_meanwhile_is_there_after_resumption(person, proxy):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    sender = bob.platform.user(f"carol@{bob.domain}")
    with proxy.refusing():
        proxy.cut()
        sender.message(bob.jid, "while away")
        sender.sync()
    bob.wait("counts.resumed === 1")
    bob.wait_body("while away")
    alice.wait("counts.resumed === 1")


def test_a_long_message_passes(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    alice.run("await guide.sendText(session, to, 'y'.repeat(200 * 1024))", to=bob.jid)
    bob.wait("bodies().some((text) => text.length === 200 * 1024)")


def test_a_login_token_that_has_expired_is_replaced(person):
    alice = person()
    expired = mint(alice.platform.stack.admin_token, alice.jid, ttl=-60)
    alice.run("""
        const good = guide.makeLogin(url, async () => token);
        let calls = 0;
        // The first call asks for the addresses, the second is for the connection.
        const login = async () => ({ ...await good(), ...(++calls <= 2 ? { token: expired } : {}) });
        session = await guide.connect(login, handlers);
        await wait(() => counts.online === 1);
        await ping();
    """, url=alice.platform.stack.functions.url, token=alice.access_token(), expired=expired)
    assert any("credentials-expired" in line for line in alice.page.said())


def test_a_session_whose_user_may_not_chat_any_more_ends(person, proxy):
    alice = person().log_in()
    alice.run("window.token = without",
              without=alice.platform.stack.issuer.token(alice.name, alice.domain, []))
    proxy.cut()
    alice.wait("counts.ended === 1")
    assert alice.run("return [lastError.status, lastError.type]") == [403, "urn:sippo-xmpp:problem:capability-required"]


def test_a_login_that_fails_for_a_while_is_tried_again(person, proxy):
    alice = person().log_in()
    alice.run("""
        const good = window.login;
        window.attempts = 0;
        window.login = () => (attempts += 1) > 1 ? good()
          : Promise.reject(new guide.LoginError("try later", 503, "urn:sippo-xmpp:problem:issuer-unavailable", 1));
    """)
    proxy.cut()
    alice.wait("counts.resumed === 1")
    assert alice.run("return attempts") == 2


def test_whose_tenant_is_deleted_stops(person, platform):
    domain = f"d{uuid.uuid4().hex[:8]}.test"
    platform.stack.create_domain(domain)
    alice = person(jid=f"alice@{domain}").log_in()
    platform.publish("domain.deleted", {"domain": domain})
    alice.wait("counts.ended === 1")
    assert "host-gone" in alice.run("return String(lastError)")


def test_a_session_that_has_reached_its_age_is_followed_by_another(person, folder):
    server = Server(folder / f"short-sessions-{uuid.uuid4().hex[:8]}", extra={"SESSION_MAX_AGE": "2"}).start()
    try:
        alice = person(jid=f"alice@{server.create_host('short.test')}")
        alice.run("""
            const login = async () => ({ jid, token, xmppUrl, mucDomain: "conference.short.test" });
            session = await guide.connect(login, handlers);
            await wait(() => counts.online === 2);
        """, jid=alice.jid, token=server.login_token(alice.jid), xmppUrl=server.ws_url)
        assert alice.run("return counts.resumed") == 0
        alice.run("await session.close()")
    finally:
        server.stop()


def test_the_server_is_killed(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    alice.say(bob, "before")
    bob.wait_body("before")
    alice.platform.kill("prosody")
    for one in (alice, bob):
        one.wait("counts.online === 2")
        one.run("await ping()")
    alice.say(bob, "after")
    bob.wait_body("after")
    texts = alice.run("""
        const texts = [];
        for await (const page of guide.history(session)) texts.unshift(...page.map((message) => message.text));
        return texts;
    """)
    assert texts == ["before", "after"]
