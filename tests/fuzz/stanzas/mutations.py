"""What makes a stanza almost valid."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Callable

from fuzz.stanzas.dice import Dice
from fuzz.stanzas.grammar import atoms
from support.xmpp import CLIENT, local, namespace, serialize

NAMESPACES = [CLIENT, "jabber:server", "urn:x", "http://jabber.org/protocol/muc#user", "http://jabber.org/protocol/muc",
              "urn:xmpp:sid:0",
              "jabber:x:data",
              "http://jabber.org/protocol/pubsub", "urn:xmpp:mam:2", "jabber:iq:roster", "urn:ietf:params:xml:ns:xmpp-stanzas"]
ATTRIBUTES = ["from", "to", "type", "jid", "node", "name", "var", "code", "h", "max", "by",
              "{http://www.w3.org/XML/1998/namespace}lang"]
TYPES = ["get", "set", "result", "error", "chat", "groupchat", "normal", "headline", "unavailable",
         "subscribe", "probe", "Get", ""]
NAMES = ["query", "item", "x", "message", "iq", "presence", "error", "body", "a", "set", "field", "value", "conference", "forged"]
MAX_TEXT = 250_000


def mutate(text: str, dice: Dice) -> str:
    """The same with one to three changes. Mostly it is still XML."""
    if "<a>" * 200 in text or len(text) > MAX_TEXT // 2:
        return text  # its depth or length is its point, and more than Python's own functions take
    try:
        root = ET.fromstring(text)
    except ET.ParseError:
        return break_text(text, dice)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        dice.choice(TREE)(root, dice)
    changed = serialize(root)[:MAX_TEXT]
    return break_text(changed, dice) if dice.chance(0.08) else changed


def inner(root: ET.Element, dice: Dice) -> ET.Element:
    """Any element; the stanza itself, whose id says that it is answered, less often."""
    below = list(root.iter())[1:]
    return dice.choice(below) if below and dice.chance(0.85) else root


def parents(root: ET.Element) -> list[ET.Element]:
    return [element for element in root.iter() if len(element)]


def attribute(root: ET.Element, dice: Dice) -> None:
    """Another value, or none, or one too many. An IQ keeps its id, which tells whether it was answered."""
    element = inner(root, dice)
    names = [one for one in element.attrib if not (element is root and one == "id")]
    kind = dice.randrange(4)
    if names and kind == 0:
        del element.attrib[dice.choice(names)]
    elif names and kind < 3:
        element.set(dice.choice(names), value(dice))
    else:
        element.set(dice.choice(ATTRIBUTES), value(dice))


def value(dice: Dice) -> str:
    """Anything."""
    return dice.choice([dice.choice(atoms.ODD), dice.choice(atoms.ODD_NUMBERS), dice.choice(atoms.NUMBERS), atoms.any_jid(dice),
                        dice.choice(NAMES), "y" * 3000])


def text_of(root: ET.Element, dice: Dice) -> None:
    element = inner(root, dice)
    element.text = value(dice) if dice.chance(0.7) else None


def tail_of(root: ET.Element, dice: Dice) -> None:
    element = inner(root, dice)
    if element is not root:
        element.tail = value(dice)


def drop(root: ET.Element, dice: Dice) -> None:
    if found := parents(root):
        parent = dice.choice(found)
        del parent[dice.randrange(len(parent))]


def repeat(root: ET.Element, dice: Dice) -> None:
    if found := parents(root):
        parent = dice.choice(found)
        child = dice.choice(list(parent))
        for _ in range(dice.choice([1, 1, 1, 3, 200])):
            parent.append(copy.deepcopy(child))
        if sum(1 for _ in root.iter()) > 20_000:
            del parent[1:]


def swap(root: ET.Element, dice: Dice) -> None:
    if found := parents(root):
        parent = dice.choice(found)
        children = list(parent)
        dice.shuffle(children)
        parent[:] = children


def rename(root: ET.Element, dice: Dice) -> None:
    element = inner(root, dice)
    if element is not root:
        element.tag = f"{{{namespace(element)}}}{dice.choice(NAMES)}"


def other_namespace(root: ET.Element, dice: Dice) -> None:
    element = inner(root, dice)
    if element is not root or dice.chance(0.1):
        element.tag = f"{{{dice.choice(NAMESPACES)}}}{local(element)}"


def nest(root: ET.Element, dice: Dice) -> None:
    """Puts an element into itself."""
    element = inner(root, dice)
    if element is not root and sum(1 for _ in element.iter()) < 100:
        element.append(copy.deepcopy(element))


def insert(root: ET.Element, dice: Dice) -> None:
    tag = f"{{{dice.choice(NAMESPACES)}}}{dice.choice(NAMES)}"
    child = ET.Element(tag, {"jid": atoms.any_jid(dice)} if dice.chance(0.5) else {})
    child.text = value(dice) if dice.chance(0.5) else None
    parent = inner(root, dice)
    parent.insert(dice.randrange(len(parent) + 1), child)


def other_type(root: ET.Element, dice: Dice) -> None:
    root.set("type", dice.choice(TYPES))


TREE: list[Callable[[ET.Element, Dice], None]] = [
    attribute, attribute, attribute, text_of, tail_of, drop, drop, repeat, swap, rename, other_namespace, nest,
    insert, other_type]


def break_text(text: str, dice: Dice) -> str:
    """No XML any more, most likely."""
    at = dice.randrange(len(text) + 1)
    return dice.choice([
        lambda: text[:at], lambda: text[:at] + text[at + 1:],
        lambda: text[:at] + dice.choice("<>&'\"/=\x01\x7f\ufffe\x0b") + text[at:],
        lambda: text[:at] + "<!DOCTYPE a>" + text[at:], lambda: text[:at] + "<!--x-->" + text[at:],
        lambda: text[:at] + "<?x?>" + text[at:],
        lambda: text[:at] + "&#0;" + text[at:],
        lambda: text[:at] + "&#xD800;" + text[at:], lambda: text[:at] + "]]>" + text[at:], lambda: text + text,
        lambda: text.replace(">", "/>", 1), lambda: text.upper(), lambda: "\ufeff" + text,
    ])()
