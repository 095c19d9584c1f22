"""The action at a position of a seed."""

from __future__ import annotations

from typing import Any

from fuzz.stanzas.action import Action
from fuzz.stanzas.dice import Dice
from fuzz.stanzas.grammar import account, messages, rooms, streams, uploads
from fuzz.stanzas.grammar.expand import Productions, expand
from fuzz.stanzas.mutations import mutate
from fuzz.stanzas.places import ACTORS

PRODUCTIONS: Productions = {}
STANZAS: dict[str, list[str]] = {}
for _part in (account, messages, rooms, streams, uploads):
    assert not PRODUCTIONS.keys() & _part.PRODUCTIONS.keys(), "two productions have one name"
    PRODUCTIONS |= _part.PRODUCTIONS
for _part in (account, messages, rooms):
    STANZAS |= _part.AREAS
OTHERS = ["elements", "frames", "cuts", "logins", "uploads", "http"]
"""Areas whose actions are no single stanza."""
WEIGHTS = {name: 10 for name in STANZAS} | {
    "entering": 14, "archive": 12, "elements": 3, "frames": 3, "cuts": 2, "logins": 2, "uploads": 5, "http": 4}
MUTATED = 0.35
"""Part of the stanzas that are not as the grammar has them."""


def action(seed: int, position: int, areas: list[str] | None = None) -> Action:
    """The same whenever it is asked for, whatever came before. `areas`: only these of the grammar."""
    dice = Dice(seed, position)
    dice.actor = dice.choice(list(ACTORS))
    names = areas or list(WEIGHTS)
    [area] = dice.choices(names, [WEIGHTS[name] for name in names])
    do, data = OF_AREA[area](dice) if area in OF_AREA else ("stanza", stanza(dice, area))
    return Action(position, area, dice.actor, do, data)


def stanza(dice: Dice, area: str | None = None) -> str:
    """One stanza, of any area if none is said."""
    text = expand(dice.choice(STANZAS[area or dice.choice(list(STANZAS))]), dice, PRODUCTIONS)
    return mutate(text, dice) if dice.chance(MUTATED) else text


def element(dice: Dice) -> tuple[str, Any]:
    text = expand(dice.choice(streams.ELEMENTS), dice, PRODUCTIONS)
    return "stanza", mutate(text, dice) if dice.chance(MUTATED) else text


def frames(dice: Dice) -> tuple[str, Any]:
    return "frames", streams.unusual_frames(dice, stanza(dice))


def cut(dice: Dice) -> tuple[str, Any]:
    """The connection is lost at any byte, and the session comes back, or another."""
    if dice.chance(0.1):
        return "end", {}
    return "cut", {"text": stanza(dice), "part": dice.random(), **streams.resumption(dice, PRODUCTIONS)}


OF_AREA = {
    "elements": element, "frames": frames, "cuts": cut,
    "logins": lambda dice: ("login", streams.login(dice, PRODUCTIONS)),
    "uploads": lambda dice: ("upload", uploads.upload(dice, PRODUCTIONS)),
    "http": lambda dice: ("http", uploads.http(dice, PRODUCTIONS)),
}
AREAS = [*STANZAS, *OTHERS]
