"""The rooms of the stack: what the ledger says should be, and what the XMPP server has."""

from __future__ import annotations

from typing import Any

from stack import cells, ledger_view, stack_env
from stack.command_line import in_words
from stack.ledger_view import RoomRecord, ordinal
from stack.xmpp_admin import RoomState, XmppAdminError, admin_session, room_occupants, room_state

BELONGING = ("owner", "admin", "member")


def records(env: dict[str, str]) -> dict[str, RoomRecord]:
    """What is recorded of all rooms."""
    return ledger_view.rooms(ledger_view.read(stack_env.port_of(env["AWS_ENDPOINT_URL"]), env["LEDGER_TABLE"]))


def listed(env: dict[str, str]) -> list[dict[str, Any]]:
    """Each in short, those that live first."""
    rows = []
    for record in records(env).values():
        belonging = [user for user in record.users() if record.verdict(user)[0]]
        rows.append({"jid": record.jid, "name": record.name, "kind": record.kind, "life": life(record),
                     "members": len(belonging), "invited": sum(record.is_invited(user) for user in belonging)})
    return sorted(rows, key=lambda row: (row["life"] != "lives", row["jid"]))


def life(record: RoomRecord) -> str:
    """Whether it lives, has ended, or never began."""
    return "lives" if record.lives else "ended" if record.ended else "not created"


def shown(env: dict[str, str], jid: str) -> dict[str, Any]:
    """A room with everybody whom an event has named or the server knows, and where the two disagree."""
    record = records(env).get(jid, RoomRecord(jid))
    state, occupants, trouble = None, [], None
    try:
        with admin_session(cells.at(env, record.tenant), "console") as admin:
            state = room_state(admin, jid)
            occupants = room_occupants(admin, jid) if state else []
    except XmppAdminError as error:
        trouble = in_words(error)
    history = [{"what": "created", "by": ordinal(at), "users": len(record.creations[at])} for at in sorted(record.creations)]
    if record.ended:
        history.append({"what": "ended", "by": ordinal(record.ended), "users": 0})
    return {
        "jid": jid, "name": record.name, "kind": record.kind, "life": life(record), "history": history,
        "isThere": state is not None, "agrees": trouble is not None or (state is not None) == bool(record.lives),
        "occupants": occupants, "trouble": trouble,
        "users": [_user(record, user, state, trouble is None) for user in sorted(record.users() | set(state.affiliations if state else ()))
                  if user != env["ADMIN_JID"]],
    }


def _user(record: RoomRecord, user: str, state: RoomState | None, is_known: bool) -> dict[str, Any]:
    belongs, why = record.verdict(user)
    found = state.affiliations.get(user, "none") if state else "none"
    return {"jid": user, "belongs": belongs, "why": why, "affiliation": found if is_known else "unknown",
            "agrees": not is_known or belongs == (found in BELONGING), "isInvited": belongs and record.is_invited(user)}


def people(env: dict[str, str]) -> list[str]:
    """Users whom one can log in as: those of the samples, all whom events have named, and one of each tenant where there are
    several XMPP servers."""
    named = {user for record in records(env).values() for user in record.users()}
    elsewhere = {f"alice@{domain}" for domain in cells.places(env)} if cells.VARIABLE in env else set()
    return sorted({f"{name}@{env['XMPP_DOMAIN']}" for name in ("alice", "bob", "carol", "dave")} | named | elsewhere)
