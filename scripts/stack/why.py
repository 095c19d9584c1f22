"""All that the running stack knows of one user or room, on one screen: for scripts/why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from stack import aws, cells, ledger_view, logs, stack_env
from stack.broker import Broker
from stack.command_line import Told, in_words
from stack.dead_letters import AnyLetter, broker_letters, list_all
from stack.event_outline import unescape
from stack.event_types import EVENT_FUNCTIONS
from stack.ledger_view import RoomRecord, ordinal
from stack.xmpp_admin import RoomState, admin_session, room_state, virtual_hosts

RECENT = 15
"""Log lines."""
AMISS = "!"
"""Begins the lines of what is not as it should be."""


@dataclass
class Report:
    """Lines under headings."""

    lines: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begins a part."""
        self.lines += ([""] if self.lines else []) + [text]

    def line(self, text: str, amiss: bool = False) -> None:
        """Adds a line."""
        self.lines.append(f"{AMISS if amiss else ' '} {text}")

    def part(self, text: str, fill: Callable[[], None]) -> None:
        """A part that may fail alone: what cannot be asked is said, and the others follow."""
        self.heading(text)
        try:
            fill()
        except (aws.AwsError, Told, OSError) as error:
            self.line(in_words(error) + ("" if isinstance(error, Told) else "; see scripts/status"), amiss=True)

    @property
    def is_amiss(self) -> bool:
        """Whether something is."""
        return any(line.startswith(AMISS) for line in self.lines)


@dataclass
class Why:
    """Looks at one stack."""

    env: dict[str, str]
    report: Report = field(default_factory=Report)

    def user(self, jid: str) -> Report:
        """Why a user is, or is not, where they should be."""
        self.report.part(f"Domain {_domain(jid)}", lambda: self._domain(_domain(jid)))
        self.report.part(f"Rooms of {jid}", lambda: self._rooms_of(jid))
        is_caller = _naming_caller(jid)
        # Who asks for a domain that is not served has not said yet who they are.
        refused = f"Stream to {_domain(jid)} refused"
        self._rest(jid, lambda text: refused in text or is_caller(text))
        return self.report

    def room(self, jid: str) -> Report:
        """Why a room is as it is."""
        tenant = _domain(jid).removeprefix("conference.")
        self.report.part(f"Domain {tenant}", lambda: self._domain(tenant))
        self.report.part(f"Room {jid}", lambda: self._room(jid))
        self._rest(jid)
        return self.report

    def _rest(self, jid: str, is_wanted: Callable[[str], bool] = lambda _: False) -> None:
        self.report.part("Queues", self._queues)
        self.report.part(f"Dead letters that name {jid}", lambda: self._dead_letters(jid))
        self.report.part(f"Recent log lines that name {jid}", lambda: self._log_lines(jid, is_wanted))

    def _ledger(self, partition: str | None = None) -> list[ledger_view.Item]:
        return ledger_view.read(stack_env.port_of(self.env["AWS_ENDPOINT_URL"]), self.env["LEDGER_TABLE"], partition)

    def _domain(self, domain: str) -> None:
        registers = next((item for item in self._ledger(f"{ledger_view.DOMAIN}{domain}") if item["sk"] == ledger_view.REGISTERS), {})
        for name in ("created", "deleted"):
            if name in registers:
                self.report.line(f"ledger: {name}: {ordinal(registers[name])}")
        served = domain in virtual_hosts(cells.at(self.env, domain))
        self.report.line(f"XMPP server: {'a virtual host' if served else 'no virtual host of this name; publish domain.created'}", not served)

    def _rooms_of(self, user: str) -> None:
        named = [room for room in ledger_view.rooms(self._ledger()).values() if user in room.users()]
        if not named:
            self.report.line("no event has named them")
        for tenant, records in groupby(sorted(named, key=lambda one: (one.tenant, one.jid)), lambda one: one.tenant):
            with admin_session(cells.at(self.env, tenant), "why") as admin:
                for record in records:
                    self._compare(record, user, room_state(admin, record.jid))

    def _compare(self, record: RoomRecord, user: str, state: RoomState | None) -> None:
        belongs, why = record.verdict(user)
        found = "no such room" if state is None else state.affiliations.get(user, "none")
        agrees = belongs == (found in ("owner", "admin", "member"))
        self.report.line(f"{record.jid}: {'should belong' if belongs else 'should not belong'} ({why}); XMPP server: {found}", not agrees)

    def _room(self, jid: str) -> None:
        items = [*self._ledger(f"{ledger_view.ROOM}{jid}"),
                 *self._ledger(f"{ledger_view.DOMAIN}{_domain(jid).removeprefix('conference.')}")]
        record = ledger_view.rooms(items).get(jid, RoomRecord(jid))
        with admin_session(cells.at(self.env, record.tenant), "why") as admin:
            state = room_state(admin, jid)
        if record.ended:
            self.report.line(f"ledger: ended: {ordinal(record.ended)}")
        for at in sorted(record.lives):
            self.report.line(f"ledger: created: {ordinal(at)}, with {len(record.lives[at])} users")
        if not record.lives and not record.ended:
            self.report.line("ledger: no event has created it; publish usersGroup.created or conference.created")
        self.report.line(f"XMPP server: {'there' if state else 'not there'}", (state is not None) != bool(record.lives))
        for user in sorted(record.users() | set(state.affiliations if state else ())):
            self._compare_in_room(record, user, state)

    def _compare_in_room(self, record: RoomRecord, user: str, state: RoomState | None) -> None:
        if user == self.env["ADMIN_JID"]:
            return  # the service owns its rooms
        belongs, why = record.verdict(user)
        found = state.affiliations.get(user, "none") if state else "none"
        self.report.line(f"{user}: {'should belong' if belongs else 'should not belong'} ({why}); XMPP server: {found}",
                         belongs != (found in ("owner", "admin", "member")))

    def _queues(self) -> None:
        queues = stack_env.queues(self.env)
        for function in EVENT_FUNCTIONS:
            waiting, busy = queues.depths(function)
            if waiting or busy:
                self.report.line(f"{function}: {waiting} wait, {busy} are being handled or come again")
        with Broker(self.env["AMQP_URL"]) as broker:
            if waiting := broker.depth(self.env["AMQP_QUEUE"]):
                self.report.line(f"broker: {waiting} wait for the bridge")
        if self.report.lines[-1] == "Queues":
            self.report.line("nothing waits")

    def _dead_letters(self, jid: str) -> None:
        letters: list[AnyLetter] = list(list_all(stack_env.queues(self.env)))
        with Broker(self.env["AMQP_URL"]) as broker:
            letters += broker_letters(broker, f"{self.env['AMQP_QUEUE']}.dead")
        local, _, domain = jid.partition("@")
        found = [one for one in letters if jid in one.outline.subject or jid in one.outline.text
                 or f'"{local}"' in one.outline.text and domain.removeprefix("conference.") in one.outline.text]
        for letter in found:
            self.report.line(f"{letter.queue}  {letter.outline.line()}: {letter.reason}", amiss=True)
        if not found:
            self.report.line("none")

    def _log_lines(self, jid: str, is_wanted: Callable[[str], bool]) -> None:
        is_named = logs.naming(jid)
        # Prosody's debug lines are of single stanzas, those of this very look among them.
        found = [line for line in logs.lines(Path(self.env["LOG_DIR"]), lambda text: is_named(text) or is_wanted(text))
                 if (line.source, line.level) != ("prosody", "debug")][-RECENT:]
        for line in found:
            self.report.line(f"{line.at.astimezone():%H:%M:%S} {line.shown()}", amiss=line.level in ("warn", "error"))
        if not found:
            self.report.line("none; scripts/run --log-level debug has more said")


def _naming_caller(jid: str) -> Callable[[str], bool]:
    """Whether a line is of a call that was refused before the caller had a JID: it has what their access token says."""
    local, _, domain = jid.rpartition("@")
    username = unescape(local)
    parts = [f'"{name}":{json.dumps(value, ensure_ascii=False)}' for name, value in (("username", username), ("domain", domain))]
    return lambda text: all(part in text for part in parts)


def _domain(jid: str) -> str:
    return jid.rpartition("@")[2]
