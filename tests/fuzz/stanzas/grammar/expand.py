"""Templates become text."""

from __future__ import annotations

import re

from fuzz.stanzas.dice import Dice
from fuzz.stanzas.grammar import atoms

SLOT = re.compile(r"\{([a-z_0-9]+)([*?]?)\}")
MAX_DEPTH = 12
Productions = dict[str, list[str]]


def expand(template: str, dice: Dice, productions: Productions, depth: int = 0) -> str:
    """The template with all of its slots filled. Atoms are escaped already."""
    def fill(match: re.Match[str]) -> str:
        name, how = match.groups()
        times = 1 if not how else dice.randrange(4) if how == "*" else dice.randrange(2)
        if how and depth > MAX_DEPTH:
            times = 0
        return "".join(one(name, dice, productions, depth) for _ in range(times))

    return SLOT.sub(fill, template)


def one(name: str, dice: Dice, productions: Productions, depth: int = 0) -> str:
    """One atom or production."""
    if name in productions:
        return expand(dice.choice(productions[name]), dice, productions, depth + 1)
    return atoms.ATOMS[name](dice)


def get(payload: str, to: str = "to_own") -> str:
    """The template of a request that reads."""
    return f"<iq xmlns='jabber:client' type='get' id='{{id}}'{{{to}}}>{payload}</iq>"


def put(payload: str, to: str = "to_own") -> str:
    """The template of a request that changes something."""
    return f"<iq xmlns='jabber:client' type='set' id='{{id}}'{{{to}}}>{payload}</iq>"
