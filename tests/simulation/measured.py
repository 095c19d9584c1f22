"""The simulation's constants: what was measured, each with the command that measures it again, and what is assumed."""

from __future__ import annotations

from dataclasses import dataclass


# Fields: one for each thing that was measured, so that each stands in one place beside its command.
@dataclass(frozen=True)
class Measured:
    """On two cores, Prosody 0.12 on SQLite; seconds of the XMPP server's processor time unless it says otherwise."""

    message: float = 0.50e-3
    """An archived one-to-one message to somebody who is there: scripts/bench xmpp (docs/decisions/message-cost.md)."""
    stored_group_message: float = 0.35e-3
    """A group message's own share, whoever gets it: one commit of the two that a one-to-one message by itself had."""
    delivery: float = 39e-6
    """A group message, to each who is in the room: scripts/bench xmpp (message-cost.md)."""
    login: float = 2.1e-3
    """Over WebSocket: scripts/bench xmpp (message-cost.md)."""
    load_tenant: float = 6e-3
    """A tenant's first use since the start, beside the login: scripts/bench tenants."""
    list_call: float = 0.5e-3
    """A chat list or a list of rooms: scripts/bench session (pings a second at 64 in flight, doubled)."""
    group_of_5: float = 5e-3
    """Room, affiliations and invitations of a new group: scripts/bench rooms (43 ms and 500 ms for 1,000; some ms for few)."""
    membership: float = 1.0e-3
    """One who joins, with the invitation, or leaves: scripts/bench rooms (2,200 joins a second, in batches)."""
    session_kib: float = 70.0
    """Memory of a session: scripts/bench xmpp."""
    tenant_kib: float = 1_036.0
    """Memory of a tenant that is in use: scripts/bench tenants."""
    server_mib: float = 60.0
    """Memory of the XMPP server without any: scripts/bench tenants."""
    bridge: float = 1 / 11_000
    """Seconds of the bridge for an event: scripts/bench bridge."""
    silence: float = 1.5
    """Seconds until a cell that says nothing is given up: SILENCE in core/src/xmpp/client.rs."""
    probe: float = 1.0
    """Seconds that a probe waits for it: PROBE_PATIENCE in core/src/breaker.rs."""
    first_pause: float = 1.0
    longest_pause: float = 15.0
    """Seconds between probes: core/src/breaker.rs."""


@dataclass(frozen=True)
class Assumed:
    """What cannot be measured here: AWS's own times, in seconds. Replace them by those of the account."""

    queue: float = 0.015
    """From the bridge to the invocation, when a function is free: SQS and its event source mapping."""
    invocation: float = 0.003
    """What Lambda takes of an invocation beside the function's own work."""
    ledger: float = 0.005
    """One round trip to DynamoDB."""
    ledger_trips: int = 4
    """One after the other in an event: noted and read, claimed and read again, marked as sent; tests/events/test_costs.py counts units."""
    rest: float = 0.008
    """A REST call, beside what the cell takes: the token is checked, answers are written."""


@dataclass(frozen=True)
class Habits:
    """What users do beside what scripts/cost assumes (logins, lists, groups, conferences)."""

    messages_day: float = 40.0
    """One-to-one messages that a user sends."""
    group_messages_day: float = 20.0
    in_the_room: float = 8.0
    """Sessions that each of them goes to."""
    sessions: float = 0.5
    """Of each user at the peak: phones that are connected, and desks."""
    peak: float = 10.0
    """Times the mean."""
