"""Messages, history, chat list, uploads and blocking as docs/CLIENTS.md has them."""

import pytest

from support.wait import until

TEXTS = "const texts = []; for await (const page of guide.history(session, OPTIONS)) texts.push(page.map((one) => one.text));" \
    " return texts;"


def test_a_message_to_someone_offline(person):
    alice, bob = person("alice").log_in(), person("bob")
    alice.say(bob, "while you were out")
    bob.log_in()
    bob.wait_body("while you were out")
    times = bob.run("""
        const stanza = stanzas.find((one) => one.localName === "message" && one.textContent.includes("while you were out"));
        return [guide.readMessage(stanza, session.bareJid).time.getTime(), Date.now()];
    """)
    assert abs(times[1] - times[0]) < 60_000


def test_receipts_and_markers(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    id = alice.run("return await guide.sendText(session, to, 'did you get it?')", to=bob.jid)
    bob.wait_body("did you get it?")
    bob.run("""
        const message = guide.readMessage(stanzas.find((one) => one.getAttribute("id") === id), session.bareJid);
        if (!message.archiveId) throw new Error("no id of the archive's");
        await guide.sendReceipt(session, message);
        await guide.sendDisplayed(session, message);
    """, id=id)
    read = "stanzas.map((one) => guide.readMessage(one, session.bareJid)).some((one) => one?.{} === id)"
    alice.wait(read.format("received"), id=id)
    alice.wait(read.format("displayed"), id=id)


def test_another_device_has_copies(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    tablet = person(jid=alice.jid).log_in()
    for one in (alice, tablet):
        one.run("await guide.enableCarbons(session)")
    alice.say(bob, "sent")
    own = "stanzas.map((one) => guide.readMessage(one, session.bareJid)).find((one) => one?.text === text)?.from.split('/')[0]"
    assert tablet.wait(own, text="sent") == alice.jid
    bob.wait_body("sent")
    forged = f"<message xmlns='jabber:client' to='{alice.jid}' type='chat'><sent xmlns='urn:xmpp:carbons:2'>" \
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat'><body>forged</body></message>" \
        "</forwarded></sent><body>see above</body></message>"
    bob.run("await session.send(forged)", forged=forged)
    alice.wait_body("see above")
    assert alice.run(f"return {own} ?? null", text="forged") is None


def test_history_by_pages(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    other = person("carol")
    for text in ("1", "2", "3"):
        alice.say(bob, text)
    alice.say(other, "to carol")
    assert alice.run(TEXTS.replace("OPTIONS", "{ size: 3 }")) == [["2", "3", "to carol"], ["1"]]
    assert alice.run(TEXTS.replace("OPTIONS", "{ size: 2, withJid: to }"), to=bob.jid) == [["2", "3"], ["1"]]
    assert alice.run("""
        const pages = [];
        for await (const page of guide.history(session)) pages.unshift(...page);
        const after = pages.find((one) => one.text === "1").archiveId;
    """ + TEXTS.replace("OPTIONS", "{ after, size: 2 }")) == [["2", "3"], ["to carol"]]


@pytest.mark.parametrize("library", ["xmpp-client"])
def test_a_position_that_the_archive_does_not_have(person):
    assert person().log_in().run("""
        return guide.history(session, { after: "no-such-id" }).next().then(() => null, (error) => error.condition);
    """) == "item-not-found"


def test_the_chat_list_and_its_pushes(person):
    alice, bob = person("alice").log_in(), person("bob")
    calls = alice.run("""
        await session.request(guide.xml`<iq xmlns="jabber:client" type="get"><query xmlns="jabber:iq:roster"/></iq>`);
        window.list = guide.makeChatList(url, async () => token);
        await list.change("PUT", to);
        return list.read();
    """, url=alice.platform.stack.functions.url, to=bob.jid)
    assert calls == [bob.jid]
    push = "stanzas.map((one) => guide.readPush(one, session.bareJid)).some((one) => one?.jid === jid && one.isListed === on)"
    alice.wait(push, jid=bob.jid, on=True)
    alice.run("await list.change('DELETE', to)", to=bob.jid)
    alice.wait(push, jid=bob.jid, on=False)
    assert alice.run("return list.read()") == []
    refused = alice.run("return list.change('PUT', 'no-user').catch((error) => [error.status, error.type])")
    assert refused == [400, "urn:sippo-xmpp:problem:jid-invalid"]


def test_a_file_goes_up_and_comes_down(person):
    alice, bob = person("alice").log_in(), person("bob").log_in()
    url = alice.run("""
        return guide.sendFile(session, to, new File(["\u00e9t\u00e9"], "a note.txt", { type: "text/plain" }));
    """, to=bob.jid)
    bob.wait_body(url)
    found = bob.run("""
        const response = await fetch(url);
        const part = await fetch(url, { headers: { Range: "bytes=0-1" } });
        return [await response.text(), response.headers.get("Content-Type"), part.status, await part.text()];
    """, url=url)
    assert found == ["\u00e9t\u00e9", "text/plain", 206, "\u00e9"]
    too_large = alice.run("""
        const file = new File([new Uint8Array(11 * 1024 * 1024)], "large.bin");
        return guide.upload(session, file).catch((error) => [error.condition, error.text]);
    """)
    assert too_large[0] == "not-acceptable", too_large


def test_blocking(person):
    alice, mallory = person("alice").log_in(), person("mallory").log_in()
    alice.run("await guide.block(session, jid)", jid=mallory.jid)
    assert alice.run("return guide.blocked(session)") == [mallory.jid]
    mallory.say(alice, "let me in")
    mallory.wait("stanzas.some((one) => one.localName === 'message' && one.getAttribute('type') === 'error')")
    alice.run("await guide.unblock(session, jid); await ping()", jid=mallory.jid)
    assert alice.run("return [bodies(), await guide.blocked(session)]") == [[], []]
    mallory.say(alice, "and now?")
    alice.wait_body("and now?")


@pytest.mark.parametrize("library", ["xmpp-client"])
def test_nobody_is_written_to_on_another_domain(person):
    alice = person("alice").log_in()
    alice.run("await guide.sendText(session, 'bob@partner.test', 'hello', { id: 'abroad' }); await ping()")
    assert until(lambda: alice.run("""
        const error = stanzas.find((one) => one.getAttribute("id") === "abroad");
        return error && new guide.StanzaError(error).condition;
    """), "an error") == "forbidden"
