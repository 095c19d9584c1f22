"""The smallest parts: addresses, texts, numbers. Each is escaped for XML, and a third of them is unusual."""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape

from fuzz.stanzas.dice import Dice
from fuzz.stanzas.places import (ACTORS, ADHOC, CAROL, DAVE, EVE, FORGED, GUEST, HOME, MAL, OTHER, OTHER_ROOMS, OTHER_TEAM, PAT,
                                 ROOMS, SECRET, TEAM, VERA, ZOE, name)

LONG = 1024
"""One more than a part of a JID may have."""

USUAL = ["hello", "Team 7", "note.txt", "a", "x y", "Grüße", "日本"]
ODD = [
    "", " ", "\t", "\r\nX-Forged: yes", "\r\n\r\n<script>forged()</script>", "\n", "%s%s%n", "../../../etc/passwd",
    "' OR 1=1 --", '"><forged/>', "\u202egnp.exe", "e\u0301\u0301\u0301", "\u200b\u200d", "\U0001f600" * 3,
    "\U0001f9d1\u200d\U0001f680",
    "\ufeff", "\ufffd", "ﬁ", "İ", "ß", "Ａ", "а", "\u00a0", "\u0085", "\u2028",
    "\U0010ffff", "nil", "true", "-1", "0x10", "{",  # a } in a namespace is nothing that our own parser takes
    "x" * 255, "x" * 256, "x" * LONG, "é" * 512, "\\", "NaN", "1e309",
]
NUMBERS = ["0", "1", "2", "5", "10", "50", "100"]
ODD_NUMBERS = ["", "-1", "-0", "+1", "1.5", "1e3", "1e309", "0x10", "007", "nan", "inf", "-inf", "2147483648", "4294967295",
               "4294967296", "9007199254740993", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "٣",
               "1 ", " 1", "one", "1;2"]
DATES = ["2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z"]
ODD_DATES = ["", "2026-01-01", "2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z", "-1", "99999-01-01T00:00:00Z",
             "2026-01-01T00:00:00+99:99", "1969-12-31T23:59:59.999999999Z", "now", "2026-01-01T00:00:00"]
LOCAL_USERS = [EVE, MAL, CAROL, DAVE]
FULL = [f"{jid}/{resource}" for jid, resource in ACTORS.values()]
NICKS = [name(jid) for jid in (EVE, MAL, ZOE, CAROL)]
ROOM_JIDS = [TEAM, TEAM, TEAM, *ADHOC, SECRET, OTHER_TEAM, f"nowhere@{ROOMS}", f"adhoc-none@{ROOMS}", f"TEAM@{ROOMS}"]
HOSTS = [HOME, ROOMS, GUEST, OTHER, OTHER_ROOMS, "admin.internal", "nowhere.example", f"pubsub.{HOME}",
    "conference.nowhere.example"]
BAD_JIDS = ["", "@", "/", "a@", "@b", "a@/", "a@b/", "a b@c", "a@b@c", "\u00ad@home.example", f"{'x' * LONG}@{HOME}",
    f"x@{'y' * LONG}",
            f"eve@{HOME}/{'z' * LONG}", f"EVE@{HOME.upper()}/Phone", f"eve\\20x@{HOME}", "xn--a@xn--b", f"eve@{HOME}.", "a@[::1]",
            f"\U0001f600@{HOME}", f"eve@{HOME}/\U0001f600", f"&<>'\"@{HOME}", f"eve@{HOME}/\u202e"]


def quoted(text: str) -> str:
    """For an attribute's value in single quotes, or for text; line ends survive as references."""
    return escape(text, {"'": "&apos;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def of(usual: list[str], odd: list[str] = [], part: float = 0.3) -> Callable[[Dice], str]:  # noqa: B006
    """An atom: mostly one of the usual ones."""
    return lambda dice: quoted(dice.choice(odd if odd and dice.chance(part) else usual))


def own(dice: Dice) -> tuple[str, str]:
    """Bare JID and resource of the acting session."""
    return ACTORS[dice.actor]


def any_jid(dice: Dice) -> str:
    """Any address that there is, or none."""
    kind = dice.randrange(10)
    if kind < 3:
        return dice.choice([own(dice)[0], *LOCAL_USERS, ZOE])
    if kind < 5:
        return dice.choice(FULL)
    if kind < 6:
        return dice.choice([VERA, PAT, f"{VERA}/desk", f"nobody@{HOME}", f"nobody@{OTHER}", f"someone@{ROOMS}",
            "operator@admin.internal"])
    if kind < 8:
        return dice.choice(ROOM_JIDS)
    if kind < 9:
        return dice.choice(HOSTS)
    return dice.choice(BAD_JIDS)


def occupant(dice: Dice) -> str:
    """Somebody in a room, or who could be."""
    room = dice.choice(ROOM_JIDS)
    nick = dice.choice(NICKS) if dice.chance(0.7) else dice.choice(ODD + ["stranger", "Eve", "ｅve", "mаl"])
    return f"{room}/{nick}"


def own_occupant(dice: Dice) -> str:
    """Oneself in a room of one's own."""
    return f"{dice.choice([TEAM, TEAM, *ADHOC])}/{name(own(dice)[0])}"


def attribute(value: str | None) -> str:
    """` to='…'`, or nothing."""
    return "" if value is None else f" to='{quoted(value)}'"


def to_own(dice: Dice) -> str:
    """Mostly the own account."""
    kind = dice.randrange(20)
    if kind < 12:
        return ""
    return attribute(own(dice)[0] if kind < 17 else any_jid(dice))


def mostly(choose: Callable[[Dice], str]) -> Callable[[Dice], str]:
    """A `to` of this kind, sometimes of any."""
    return lambda dice: attribute(choose(dice) if dice.chance(0.85) else any_jid(dice))


def number(dice: Dice) -> str:
    """A number, or what looks like one."""
    return quoted(dice.choice(ODD_NUMBERS if dice.chance(0.3) else NUMBERS))


def text(dice: Dice) -> str:
    """Words; rarely many."""
    if dice.chance(0.02):
        return dice.choice("xé&")[0].replace("&", "&amp;") * dice.choice([5_000, 60_000])
    return quoted(dice.choice(ODD if dice.chance(0.3) else USUAL))


def base64_text(dice: Dice) -> str:
    """Base64, or not quite."""
    return dice.choice(["aGVsbG8=", "iVBORw0KGgo=", "aGVsbG8", "a", "====", "!!!", "", "aGVs bG8=", "aGVsbG8=\n", "4pyT",
        "A" * 8_000,
                        "&#233;&#233;", "aGVsbG8=="])


def deep(dice: Dice) -> str:
    """Elements in elements: mostly few, sometimes as many as fit."""
    depth = dice.choice([1, 2, 5, 20, 97, 98, 99, 100, 101, 500, 20_000, 36_000])
    return f"<a xmlns='urn:x'>{'<a>' * depth}{'</a>' * depth}</a>"


def wide(dice: Dice) -> str:
    """Elements beside elements."""
    return f"<a xmlns='urn:x'>{'<b/>' * dice.choice([1, 10, 100, 5_000, 9_990, 20_000, 60_000])}</a>"


ATOMS: dict[str, Callable[[Dice], str]] = {
    "id": lambda dice: f"f{dice.position}",
    "mark": lambda dice: f"mark-{dice.position}-{dice.actor}.",
    "forged": lambda dice: f"{FORGED}{dice.position}",
    "n": number,
    "text": text,
    "b64": base64_text,
    "date": of(DATES, ODD_DATES),
    "deep": deep,
    "wide": wide,
    "bool": of(["true", "false", "1", "0"], ["", "yes", "TRUE", "2"], 0.2),
    "own": lambda dice: quoted(own(dice)[0]),
    "own_full": lambda dice: quoted("/".join(own(dice))),
    "own_occupant": lambda dice: quoted(own_occupant(dice)),
    "jid": lambda dice: quoted(any_jid(dice)),
    "bare": of([*LOCAL_USERS, ZOE, f"nobody@{HOME}"], [VERA, *BAD_JIDS]),
    "full": of(FULL, [f"{VERA}/desk", f"{EVE}/none", *BAD_JIDS]),
    "room": of(ROOM_JIDS),
    "own_room": of([TEAM, *ADHOC]),
    "occupant": lambda dice: quoted(occupant(dice)),
    "nick": of(NICKS, [*ODD, "Eve", "ｅve", "mаl", "carol "]),
    "host": of(HOSTS),
    "to_own": to_own,
    "to_any": lambda dice: attribute(any_jid(dice)),
    "to_user": mostly(lambda dice: dice.choice([*LOCAL_USERS, *FULL])),
    "to_room": mostly(lambda dice: dice.choice(ROOM_JIDS)),
    "to_own_room": mostly(lambda dice: dice.choice([TEAM, TEAM, *ADHOC])),
    "to_occupant": mostly(occupant),
    "to_own_occupant": mostly(own_occupant),
    "to_host": mostly(lambda dice: dice.choice(HOSTS)),
    "to_home": mostly(lambda dice: own(dice)[0].partition("@")[2]),
    "affiliation": of(["owner", "admin", "member", "none", "outcast"], ["", "Owner", "moderator", "god"], 0.1),
    "role": of(["moderator", "participant", "visitor", "none"], ["", "Moderator", "owner"], 0.1),
    "subscription": of(["none", "to", "from", "both", "remove"], ["", "REMOVE", "all"], 0.1),
    "show": of(["away", "chat", "dnd", "xa"], ["", "gone", "Away"], 0.2),
    "media": of(["text/plain", "image/png", "text/html", "application/octet-stream", "text/plain; charset=utf-8"],
                ["text/html\r\nX-Forged: yes", "text/html\r\n\r\n<script>forged()</script>", "", "/", "text", "a/b/c",
                    "text/plain ",
                 "text/plain;", "text/html\nX-Forged: yes", "é/ü", "text/plain; q=\"\r\n\"", "x" * 200 + "/y", "text /plain",
                 "image/svg+xml"], 0.5),
    "code": of(["100", "101", "104", "110", "201", "210", "301", "303", "307", "321", "322", "332"]),
    "condition": of(["service-unavailable", "item-not-found", "forbidden", "recipient-unavailable", "gone", "not-acceptable"]),
    "urn": of(["urn:x:1", "urn:x:2", "storage:bookmarks", "storage:rosternotes", "urn:example:notes"], ["jabber:client", "",
    "http://a b/"]),
    "node": of(["urn:xmpp:bookmarks:1", "storage:bookmarks", "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata",
    "urn:xmpp:vcard4",
                "http://jabber.org/protocol/nick", "eu.siacs.conversations.axolotl.devicelist", "urn:x:node",
                "http://jabber.org/protocol/tune"],
               ODD),
}
