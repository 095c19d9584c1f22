"""mod_sippo_muc_broadcast, mod_sippo_groupchat, mod_sippo_websocket_text: what clients receive is what they receive without
these modules, and handlers that Prosody has beside them hear of every message."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from stack.paths import ROOT
from support.stanzas import configure, go_online, join, ok, send_message, settle
from support.xmpp import CLIENT, Client, E

HOME = "home.example"
ROOM = f"adhoc-talk@conference.{HOME}"
NICK = "bob's <&> \"nick\""
SM, CARBONS = "urn:xmpp:sm:3", "urn:xmpp:carbons:2"
OURS = ("sippo_muc_broadcast", "sippo_groupchat", "sippo_websocket_text")
MADE_UP = re.compile(r'((?:id|stamp)=")(?!m\d+")[^"]*')
"""What a server makes up, unlike the ids of messages here."""

CONTENTS = [
    "<body>plain</body>",
    "<body>&lt;b&gt; &amp; 'quoted' \"twice\" ü 😀</body>",
    "<body xml:lang='de'>Hallo</body><body>hello</body>",
    "",
    "text beside<body>elements</body>and more",
    "<body>with</body><x xmlns='urn:example' a='&lt;&apos;&quot;'><y xmlns='urn:example:2'/><z/></x>",
    "<x xmlns='urn:example' xmlns:p='urn:example:p' p:a='1'><p:b/></x>",
    "<body xmlns='jabber:client'>named</body><e xmlns='urn:example'><body xmlns='jabber:client'/></e>",
    f"<body>private</body><private xmlns='{CARBONS}'/>",
    "<body>no copy</body><no-copy xmlns='urn:xmpp:hints'/>",
    "<propose xmlns='urn:xmpp:jingle-message:0' id='call'/>",
    "<body>stored</body><store xmlns='urn:xmpp:hints'/>",
    f"<body>forged</body><stanza-id xmlns='urn:xmpp:sid:0' id='x' by='carol@{HOME}'/>",
    "<body>forged</body><stanza-id xmlns='urn:xmpp:sid:0' id='x'/>",
    f"<body>forged</body><stanza-id xmlns='urn:xmpp:sid:0' id='x' by='{ROOM}'/>",
    "<received xmlns='urn:xmpp:receipts' id='m1'/>",
    "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    "<subject>What it is about</subject>",
]


def config(folder: Path, without: tuple[str, ...] = (), more: str = "") -> Path:
    """The configuration without some modules, in a folder of its own; `more` goes to every tenant."""
    folder.mkdir(exist_ok=True)
    text = (ROOT / "xmpp-server" / "prosody.cfg.lua").read_text()
    for name in without:
        assert text.count(f'"{name}"') == 1
        text = text.replace(f'"{name}"', '"ping"')
    modules = folder / "modules"
    modules.mkdir()
    for module in (ROOT / "xmpp-server" / "modules").iterdir():
        (modules / module.name).symlink_to(module)
    if more:
        text = text.replace('"sippo_chat_list",', '"sippo_chat_list", "listener",')
        (modules / "mod_listener.lua").write_text(more)
    path = folder / "prosody.cfg.lua"
    path.write_text(text)
    return path


def resumable(client: Client) -> str:
    """Enables stream management; the id to resume by."""
    client.send(E("enable", SM, resume="true"))
    return client.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")


def occupants(server) -> SimpleNamespace:
    """A room that Alice, Bob with two devices, and Carol are in; Carol's connection is to be lost."""
    server.create_host(HOME)
    clients = SimpleNamespace(alice=server.user(f"alice@{HOME}", "a"), bob=server.user(f"bob@{HOME}", "b"),
                              tablet=server.user(f"bob@{HOME}", "Bob's <tablet> & \"pen\""), carol=server.user(f"carol@{HOME}", "c"))
    for client in vars(clients).values():
        client.iq("set", E("enable", CARBONS))
        go_online(client)
    clients.previd = resumable(clients.carol)
    resumable(clients.bob)
    clients.all = [clients.alice, clients.bob, clients.tablet, clients.carol]
    join(clients.alice, ROOM, "alice")
    ok(configure(clients.alice, ROOM, {}))
    for client, nick in ((clients.bob, NICK), (clients.tablet, NICK), (clients.carol, "carol")):
        join(client, ROOM, nick)
    for client in clients.all:
        settle(client)
    return clients


def say(client: Client, content: str, number: int, to: str = ROOM, kind: str = "groupchat") -> None:
    client.send(f"<message xmlns='{CLIENT}' to='{to}' type='{kind}' id='m{number}' xml:lang='en'>{content}</message>")
    settle(client)


def shape(element: ElementTree.Element) -> str:
    """An element to compare with another server's: the same whatever the order of attributes, or what was made up."""
    return MADE_UP.sub(r"\1…", ElementTree.canonicalize(ElementTree.tostring(element, encoding="unicode")))


def shapes(client: Client) -> list[str]:
    """All messages that it has received, sorted: which of two devices gets a message first differs from run to run."""
    return sorted(shape(message) for message in client.messages())


def conversation(server) -> list[list[str]]:
    """What each of the clients receives of the same conversation."""
    clients = occupants(server)
    for number, content in enumerate(CONTENTS):
        say(clients.alice, content, number)
        say(clients.bob, content, number)
        say(clients.alice, content, number, f"bob@{HOME}", "chat")
        say(clients.bob, content, number, f"carol@{HOME}/c", "normal")
        say(clients.carol, content, number, f"{ROOM}/alice", "chat")
    for client in clients.all:
        settle(client)
    found = [shapes(client) for client in clients.all]
    lost = clients.carol
    lost.abort()
    lost.wait_closed()
    for number, content in enumerate(CONTENTS):
        say(clients.alice, content, 100 + number)
        say(clients.bob, content, 100 + number, f"carol@{HOME}", "chat")
    back = server.client(f"carol@{HOME}", server.login_token(f"carol@{HOME}"))
    back.open()
    back.authenticate()
    back.send(E("resume", SM, previd=clients.previd, h="0"))
    back.wait(lambda e: e.tag == f"{{{SM}}}resumed")
    say(clients.alice, "<body>at last</body>", 200)
    back.wait_message("at last")
    settle(clients.alice)
    return [*found, shapes(back), shapes(clients.alice)]


def test_all_receive_what_they_would_without_the_modules(new_server, tmp_path):
    ours, stock = new_server().start(), new_server(config=config(tmp_path / "stock", without=OURS)).start()
    received, expected = conversation(ours), conversation(stock)
    assert [len(messages) for messages in received] == [len(messages) for messages in expected]
    assert received == expected
    assert min(len(messages) for messages in expected) >= len(CONTENTS)
    assert "sippo-" not in str(received)
    assert "Group messages pass over handlers" in ours.log_text()


LISTENER = """
module:hook("%s", function (event)
	local stanza = event.stanza;
	if stanza.attr.type == "groupchat" then module:log("info", "heard %%s", stanza.attr.to); end
end, %d);
"""


@pytest.mark.parametrize(("event", "priority"), [("message/full", 5), ("message/full", 60), ("archive-should-store", 1),
                                                 ("carbons-should-copy", 1)])
def test_other_handlers_hear_of_every_message(new_server, tmp_path, event, priority):
    server = new_server(config=config(tmp_path / "more", more=LISTENER % (event, priority))).start()
    clients = occupants(server)
    mark = len(server.log_text())
    send_message(clients.alice, ROOM, "to all", "groupchat")
    for client in clients.all:
        client.wait_message("to all")
    heard = set(re.findall(r"\theard (.+)", server.log_text()[mark:])) - {ROOM}  # where it comes from
    assert heard == {client.jid for client in clients.all}
