"""mod_sippo_storage_quotas: how much one user may store, and what refuses more."""

from __future__ import annotations

import pytest

from support.prosody import Server
from support.stanzas import ROSTER, ROSTER_GROUP, ask, condition, go_online, new_id, ok, settle
from support.xmpp import CLIENT, STANZA_ERRORS

QUOTA = 8192
NUMBER = 3
PUBSUB = "http://jabber.org/protocol/pubsub"
BOOKMARKS = "urn:xmpp:bookmarks:1"


@pytest.fixture(scope="module")
def strict(server_folder):
    server = Server(server_folder(), extra={
        **{f"{name}_QUOTA": str(QUOTA) for name in ("ROSTER", "PRIVATE_XML", "BLOCK_LIST", "PEP", "VCARD")},
        "PEP_NODE_LIMIT": str(NUMBER), "BOOKMARK_LIMIT": str(NUMBER), "PUSH_LIMIT": str(NUMBER), "CLIENT_RATE": "100mb/s"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def alice(strict, unique_domain):
    with strict.user(f"alice@{strict.create_host(unique_domain())}") as client:
        yield client


def refused(reply, expected: str = "resource-constraint") -> None:
    assert condition(reply) == expected
    assert reply.findtext(f".//{{{STANZA_ERRORS}}}text")


def fill(client, kind: str, payload, to: str | None = None, most: int = 200) -> int:
    """Sends `payload(n)` until one is refused; how many passed."""
    for n in range(most):
        reply = ask(client, kind, payload(n), to)
        if reply.get("type") == "error":
            refused(reply)
            return n
    raise AssertionError(f"{most} passed")


def private(n: int, size: int = 500) -> str:
    return f"<query xmlns='jabber:iq:private'><a xmlns='urn:x:{n}'>{'x' * size}</a></query>"


def test_private_xml(strict, alice):
    count = fill(alice, "set", private)
    assert 0 < count <= QUOTA // 500
    ok(ask(alice, "set", private(0)))  # in place of what was there
    ok(ask(alice, "set", "<query xmlns='jabber:iq:private'><a xmlns='urn:x:0'/></query>"))
    ok(ask(alice, "set", private(count)))
    with strict.user(f"bob@{alice.domain}") as bob:
        ok(ask(bob, "set", private(0)))


def item(jid: str, name: str = "", groups: str = "", **attributes: str) -> str:
    given = "".join(f" {key}='{value}'" for key, value in attributes.items())
    return f"<query xmlns='{ROSTER}'><item jid='{jid}' name='{name}'{given}>{groups}</item></query>"


def test_the_roster(strict, alice):
    home = alice.domain
    count = fill(alice, "set", lambda n: item(f"c{n}@{home}", "x" * 500))
    assert 0 < count <= QUOTA // 500
    ok(ask(alice, "set", item(f"c0@{home}", "shorter")))
    ok(ask(alice, "set", item(f"c1@{home}", subscription="remove")))
    ok(ask(alice, "set", item(f"again@{home}", "x" * 500)))


def test_what_else_grows_a_roster(strict, alice):
    home = alice.domain
    fill(alice, "set", lambda n: item(f"c{n}@{home}"), most=1000)
    for kind in ("subscribe", "subscribed"):
        ident = new_id()
        alice.send(f"<presence xmlns='{CLIENT}' type='{kind}' id='{ident}' to='new@{home}'/>")
        refused(alice.wait(lambda e, ident=ident: e.get("id") == ident, 10))
    with strict.user(f"bob@{home}") as bob:
        bob.send(f"<presence xmlns='{CLIENT}' type='subscribe' id='ask' to='alice@{home}'/>")
        refused(bob.wait(lambda e: e.get("id") == "ask", 10))
    with strict.admin() as admin:
        change = f"<group xmlns='{ROSTER_GROUP}' name='list' max='5000'><add jid='{{}}@{home}'/></group>"
        reply = ask(admin, "set", change.format("another"), f"alice@{home}")
        assert condition(reply) == "resource-constraint" and reply.find(f".//{{{ROSTER_GROUP}}}list-full") is not None
        ok(ask(admin, "set", f"<group xmlns='{ROSTER_GROUP}' name='list'><remove jid='c0@{home}'/></group>", f"alice@{home}"))


@pytest.mark.parametrize("bad", [item("c@x.example", "x" * 1024), item("c@x.example", groups=f"<group>{'g' * 1024}</group>"),
                                 item("c@x.example", groups="".join(f"<group>{n}</group>" for n in range(51)))])
def test_an_item_of_a_roster(strict, alice, bad):
    refused(ask(alice, "set", bad), "not-acceptable")
    with strict.admin() as admin:
        refused(ask(admin, "set", bad, alice.bare_jid), "not-acceptable")


def test_the_block_list(alice):
    def block(n: int) -> str:
        return f"<block xmlns='urn:xmpp:blocking'><item jid='{'b' * 200}{n}@{alice.domain}'/></block>"

    count = fill(alice, "set", block)
    assert 0 < count <= QUOTA // 200
    ok(ask(alice, "set", block(0).replace("block xmlns", "unblock xmlns").replace("</block>", "</unblock>")))
    ok(ask(alice, "set", block(count)))


def publish(node: str, ident: str, payload: str, most: str = "max") -> str:
    options = (f"<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{PUBSUB}"
               f"#publish-options</value></field><field var='pubsub#max_items'><value>{most}</value></field></x>"
               "</publish-options>")
    return (f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{ident}'>{payload}</item></publish>{options}</pubsub>")


def test_items_of_pep(alice):
    def some(n: int) -> str:
        return publish("urn:x:node", f"i{n}", f"<a xmlns='urn:x'>{'x' * 2000}</a>")

    count = fill(alice, "set", some)
    assert 0 < count <= QUOTA // 2000
    ok(ask(alice, "set", some(0)))
    retract = f"<pubsub xmlns='{PUBSUB}'><retract node='urn:x:node'><item id='i1'/></retract></pubsub>"
    ok(ask(alice, "set", retract))
    ok(ask(alice, "set", some(count)))


def test_nodes_of_pep(alice):
    count = fill(alice, "set", lambda n: publish(f"urn:x:{n}", "i", "<a xmlns='urn:x'/>"))
    assert 0 < count <= NUMBER  # the bookmarks' may be there already
    refused(ask(alice, "set", f"<pubsub xmlns='{PUBSUB}'><create node='urn:x:other'/></pubsub>"))
    ok(ask(alice, "set", publish("urn:x:0", "j", "<a xmlns='urn:x'/>")))


def test_subscriptions_of_others_to_a_node(strict, alice):
    open_node = publish("urn:x:open", "i", "<a xmlns='urn:x'/>").replace(
        "</x>", "<field var='pubsub#access_model'><value>open</value></field></x>")
    ok(ask(alice, "set", open_node))
    with strict.user(f"bob@{alice.domain}") as bob:
        count = fill(bob, "set", lambda n: f"<pubsub xmlns='{PUBSUB}'><subscribe node='urn:x:open' jid='{bob.bare_jid}/{n}'/>"
                                           "</pubsub>", alice.bare_jid)
    assert count == 10
    ok(ask(alice, "set", publish("urn:x:open", "i", "<a xmlns='urn:x'/>")))


def test_bookmarks(alice):
    def bookmark(n: int) -> str:
        return publish(BOOKMARKS, f"r{n}@conference.{alice.domain}", f"<conference xmlns='{BOOKMARKS}' name='x'/>")

    assert fill(alice, "set", bookmark) == NUMBER
    ok(ask(alice, "set", bookmark(0)))
    old = "".join(f"<conference jid='o{n}@conference.{alice.domain}'/>" for n in range(NUMBER + 1))
    refused(ask(alice, "set", f"<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>{old}</storage></query>"))


@pytest.mark.parametrize("card", ["<vCard xmlns='vcard-temp'><FN>{}</FN></vCard>",
                                  "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>{}</text></fn></vcard>"])
def test_the_vcard(alice, card):
    ok(ask(alice, "set", card.format("x" * 1000)))
    refused(ask(alice, "set", card.format("x" * QUOTA)))


def test_a_presence_is_short(alice):
    go_online(alice)
    alice.send(f"<presence xmlns='{CLIENT}' id='long'><status>{'x' * 17_000}</status></presence>")
    refused(alice.wait(lambda e: e.get("id") == "long", 10), "policy-violation")
    settle(alice)
