"""The XMPP server of the running stack, as its admin sees it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.command_line import Told, in_words
from stack.paths import ROOT

if TYPE_CHECKING:
    from support.xmpp import Client

DISCO_INFO = "http://jabber.org/protocol/disco#info"
MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
NOT_ADMIN = ("forbidden", "not-authorized", "not-allowed")
HINT = "see that it runs (scripts/status)"
ROLES = ("moderator", "participant", "visitor")
AFFILIATIONS = ("owner", "admin", "member", "outcast")


class XmppAdminError(Told):
    """The server did not do it; the message says why and what to do."""


@contextlib.contextmanager
def admin_session(env: dict[str, str], name: str) -> Iterator[Client]:
    """A session, whose refusals and failures are XmppAdminError."""
    tests = str(ROOT / "tests")
    if tests not in sys.path:
        sys.path.insert(0, tests)
    from support.xmpp import AuthFailed, Client, XmppError
    from websockets.exceptions import WebSocketException

    try:
        with Client(env["XMPP_URL"], env["ADMIN_JID"], env["ADMIN_TOKEN"], f"{name}-{os.getpid()}") as client:
            yield client
    except AuthFailed as error:
        raise XmppAdminError(f"the XMPP server refuses the login of {env['ADMIN_JID']} ({error}); start the stack anew with "
                             "scripts/run") from error
    except XmppError as error:
        if error.condition in NOT_ADMIN:
            raise XmppAdminError(f"the XMPP server does not take {env['ADMIN_JID']} for its admin ({error}); "
                                 f"see the first lines of {env['LOG_DIR']}/prosody.log") from error
        raise XmppAdminError(f"the XMPP server refuses this ({error}); see what it says in prosody.log") from error
    except (OSError, WebSocketException) as error:
        raise XmppAdminError(f"the XMPP server does not answer ({in_words(error)})", HINT) from error


def virtual_hosts(env: dict[str, str]) -> list[str]:
    """The domains that the server serves; XmppAdminError when it does not say."""
    import httpx  # with the project's Python only

    try:
        answer = httpx.get(env["HOSTS_ADMIN_URL"], trust_env=False, timeout=10, headers={"Authorization": f"Bearer {env['ADMIN_TOKEN']}"})
    except httpx.HTTPError as error:
        raise XmppAdminError(f"the XMPP server's hosts API does not answer ({in_words(error)})", HINT) from error
    if answer.status_code != httpx.codes.OK:
        raise XmppAdminError(f"the XMPP server's hosts API answers {answer.status_code}", f"see what it says in {env['LOG_DIR']}/prosody.log")
    return [host["domain"] for host in answer.json()]


@dataclass(frozen=True)
class RoomState:
    """A room as it is."""

    name: str
    features: list[str]
    affiliations: dict[str, str]
    """Bare JIDs, each with what it is in the room; owners first."""


def room_state(admin: Client, jid: str) -> RoomState | None:
    """A room; None when there is none."""
    from support.xmpp import E, StanzaError

    try:
        info = admin.iq("get", E("query", DISCO_INFO), jid)
    except StanzaError as error:
        if error.condition not in ("item-not-found", "gone", "remote-server-not-found"):
            raise
        return None
    name = next((one.get("name") for one in info.iter(f"{{{DISCO_INFO}}}identity")), None) or ""
    features = sorted(one.get("var", "") for one in info.iter(f"{{{DISCO_INFO}}}feature"))
    affiliations = {}
    for affiliation in AFFILIATIONS:
        query = E("query", MUC_ADMIN, E("item", MUC_ADMIN, affiliation=affiliation))
        for item in admin.iq("get", query, jid).iter(f"{{{MUC_ADMIN}}}item"):
            affiliations[item.get("jid", "")] = affiliation
    return RoomState(name, [one for one in features if one.startswith("muc_")], affiliations)


def room_occupants(admin: Client, jid: str) -> list[str]:
    """The nicknames of those who are in a room now (XEP-0045, section 9.6)."""
    from support.xmpp import E

    found = set()
    for role in ROLES:
        answer = admin.iq("get", E("query", MUC_ADMIN, E("item", MUC_ADMIN, role=role)), jid)
        found |= {item.get("nick", "") for item in answer.iter(f"{{{MUC_ADMIN}}}item")}
    return sorted(found)
