"""What the page can ask for. Each call gets the query's parameters, or the object in the body."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stack import cells, event_outline, logs, trace
from stack.console import letters, publisher, rooms
from stack.console.links import Links
from stack.console.world import World
from stack.issuer import Issuer
from stack.logs import Line

Call = Callable[[World, Links, dict[str, Any]], Awaitable[Any]]
TOKEN_LIFETIME = 120.0
"""Seconds: the page asks for another access token before each login."""
EXPIRED = -300.0
MOST_LINES = 300
SOURCES = ("bridge", "functions", "functions-gateway", "poller", "queue", "rabbitmq")
"""Programs with a log, beside the XMPP servers."""


class Refused(Exception):
    """The page asks for what cannot be done; the message says why."""


async def state(world: World, _: Links, given: dict[str, Any]) -> dict[str, Any]:
    """What changes all the time: processes, queues, events since a change, points since a time."""
    world.touch()
    change, ways = world.ways.since(int(given.get("change", 0)))
    return {
        "now": time.time(), "domain": world.env["XMPP_DOMAIN"],
        "tenants": [{"domain": domain, "cell": cell} for domain, cell in sorted(world.tenants.items())],
        "processes": world.processes.shown(), "happenings": [asdict(one) for one in world.processes.happenings],
        "queues": [asdict(one) for one in world.queues], "queueTrouble": world.queue_trouble, "bridge": world.bridge_says,
        "change": change, "events": [asdict(way) for way in ways], "points": world.gauges.since(float(given.get("point", 0))),
        "traffic": {"isOn": world.publisher.has_traffic, "count": world.publisher.traffic_count, "trouble": world.publisher.traffic_trouble},
    }


async def token(world: World, _: Links, given: dict[str, Any]) -> dict[str, Any]:
    """An access token of a user, as the platform would give it; with `isExpired` one that is over."""
    localpart, at, domain = str(given["user"]).rpartition("@")
    if not localpart or not domain:
        raise Refused("write a user as name@domain")
    lifetime = EXPIRED if given.get("isExpired") else TOKEN_LIFETIME
    return {"token": Issuer(world.paths.issuer).token(event_outline.unescape(localpart), domain, ["chat"], lifetime)}


async def people(world: World, _: Links, __: dict[str, Any]) -> list[str]:
    """Whom one can log in as."""
    return await asyncio.to_thread(rooms.people, world.env)


async def list_rooms(world: World, _: Links, __: dict[str, Any]) -> list[dict[str, Any]]:
    """All rooms in short."""
    return await asyncio.to_thread(rooms.listed, world.env)


async def show_room(world: World, _: Links, given: dict[str, Any]) -> dict[str, Any]:
    """One room."""
    return await asyncio.to_thread(rooms.shown, world.env, given["jid"])


async def list_letters(world: World, _: Links, __: dict[str, Any]) -> list[dict[str, Any]]:
    """All dead letters."""
    async with world.letters_lock:
        return await asyncio.to_thread(letters.listed, world.env)


async def bring_back(world: World, _: Links, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Some dead letters back to their functions."""
    queues, only = given.get("queues", []), given.get("only", [])
    if unknown := set(queues) - set(letters.QUEUES):
        raise Refused(f"there is no queue {', '.join(sorted(unknown))}")
    async with world.letters_lock:
        return await asyncio.to_thread(letters.bring_back, world.env, queues, only)


async def delete_letter(world: World, _: Links, given: dict[str, Any]) -> dict[str, int]:
    """One dead letter, for good."""
    if given["queue"] not in letters.QUEUES or not given["version"]:
        raise Refused("say which letter")
    async with world.letters_lock:
        return {"deleted": await asyncio.to_thread(letters.delete, world.env, given["queue"], given["version"])}


async def list_samples(_: World, __: Links, ___: dict[str, Any]) -> list[dict[str, str]]:
    """The repository's sample events."""
    return publisher.samples()


async def publish(world: World, _: Links, given: dict[str, Any]) -> dict[str, Any]:
    """Some events, in this order."""
    ids: list[str] = []
    for one in given["events"]:
        if not one["key"]:
            raise Refused("write the routing key")
        ids += await asyncio.to_thread(world.publisher.publish, one["key"], one["body"], int(one.get("count", 1)), int(one.get("times", 1)))
    return {"ids": ids}


async def traffic(world: World, _: Links, given: dict[str, Any]) -> dict[str, Any]:
    """Random events, on or off."""
    world.touch()
    world.publisher.has_traffic = bool(given["isOn"])
    return {"isOn": world.publisher.has_traffic}


async def process(world: World, _: Links, given: dict[str, Any]) -> dict[str, Any]:
    """A signal to a process."""
    world.processes.send(given["name"], given["action"])
    return {}


async def link(_: World, links: Links, given: dict[str, Any]) -> dict[str, Any]:
    """Cuts, freezes or thaws one of the page's connections."""
    if given["action"] not in ("cut", "freeze", "thaw"):
        raise Refused("a connection can be cut, frozen and thawed")
    return {"isThere": links.act(given["link"], given["action"])}


async def log_lines(world: World, _: Links, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines that name a user, a room, an event or a trace, or the last ones of a program."""
    folder = Path(world.env["LOG_DIR"])
    if (source := given.get("source")) is not None:
        if source not in (*SOURCES, *cells.all_of(world.env)):
            raise Refused(f"no program is called {source}")
        found = await asyncio.to_thread(logs.tail, folder, source, MOST_LINES)
    elif (name := str(given.get("name", "")).strip()) == "":
        raise Refused("write a user, a room, an event's id or a trace id")
    elif "@" in name:
        found = await asyncio.to_thread(logs.lines, folder, logs.naming(name))
        found = [line for line in found if line.source not in cells.all_of(world.env) or line.level != "debug"]
    else:
        found = await asyncio.to_thread(trace.way, folder, name)
    return [_line(line) for line in found[-MOST_LINES:]]


def _line(line: Line) -> dict[str, Any]:
    return {"at": line.at.timestamp(), "isExact": line.has_fraction, "source": line.source, "level": line.level,
            "message": line.message, "details": line.details[:2000],
            "event": line.fields.get("event.id"), "trace": line.fields.get("trace_id"), "room": line.fields.get("room")}


ROUTES: dict[tuple[str, str], Call] = {
    ("GET", "state"): state,
    ("GET", "people"): people,
    ("GET", "rooms"): list_rooms,
    ("GET", "room"): show_room,
    ("GET", "letters"): list_letters,
    ("GET", "samples"): list_samples,
    ("GET", "logs"): log_lines,
    ("POST", "token"): token,
    ("POST", "publish"): publish,
    ("POST", "traffic"): traffic,
    ("POST", "process"): process,
    ("POST", "link"): link,
    ("POST", "redrive"): bring_back,
    ("POST", "delete"): delete_letter,
}
