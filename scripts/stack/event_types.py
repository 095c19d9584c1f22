"""The ten types of broker event, as the stack's programs need to know them (core/src/events/event_type.rs)."""

from __future__ import annotations

ROUTING_KEYS = {
    "users-group-created": "usersGroup.created",
    "users-group-deleted": "usersGroup.deleted",
    "users-group-participants-joined": "usersGroup.participants.joined",
    "users-group-participants-left": "usersGroup.participants.left",
    "domain-created": "domain.created",
    "domain-deleted": "domain.deleted",
    "conference-created": "conference.created",
    "conference-destroyed": "conference.destroyed",
    "conference-participant-joined": "conference.participant.joined",
    "conference-participant-left": "conference.participant.left",
}
"""Routing key by function: the name of its binary, its queue and its samples."""
EVENT_FUNCTIONS = list(ROUTING_KEYS)
RESYNC = "resync"
"""The function that repairs what the XMPP server has lost."""
COALESCED = {name for name in EVENT_FUNCTIONS if name.endswith(("-joined", "-left"))}
"""Functions that are given large batches, as in template.yaml: they come in crowds and one request serves many."""
