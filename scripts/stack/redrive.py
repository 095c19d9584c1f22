"""What scripts/redrive does with dead letters, wherever they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from stack.broker import Broker
from stack.command_line import Progress
from stack.dead_letters import (
    BROKER, AnyLetter, BrokerLetter, Letter, NotBroughtBack, Queues, broker_letters, list_all, matches, redrive_broker)


@dataclass(frozen=True)
class Redrive:
    """Some of the dead letters."""

    queues: Queues
    broker: Broker
    broker_queue: str
    chosen: list[str]
    """Functions, and perhaps `BROKER`."""
    only: list[str]
    """Which of theirs; all when it is empty. See `matches`."""
    correction: dict[str, str]
    """Of routing keys."""

    def listed(self) -> list[str]:
        """A few lines for each."""
        return [line for letter in self.letters() if matches(letter, self.only) for line in (
            f"{letter.queue}  {letter.outline.line()}", f"    {letter.reason}", f"    {letter.outline.excerpt}")]

    def shown(self, id: str) -> list[str]:
        """All that is known of those with this id."""
        return [line for letter in self.letters() if matches(letter, [id]) for line in whole(letter)]

    def bring_back(self) -> int:
        """Sends them to their functions; how many."""
        done = 0
        with Progress("brought back") as progress:
            for letter, outcome, is_back in self.outcomes():
                done += is_back
                progress.clear()
                print(f"{letter.queue}: {outcome}", flush=True)
                progress.update(done)
        return done

    def outcomes(self) -> Iterator[tuple[AnyLetter, str, bool]]:
        """Sends them to their functions, one after the other: what became of each, and whether it was brought back."""
        for letter in self._taken():
            try:
                key = self._bring_back(letter)
                yield letter, f"brought back {letter.outline.id} as {key}, which was there for: {letter.reason}", True
            except NotBroughtBack as error:
                yield letter, f"{letter.outline.id} stays: {error}", False

    def delete(self) -> int:
        """Forgets them; how many."""
        done = 0
        with Progress("deleted") as progress:
            for letter in self._taken():
                if isinstance(letter, Letter):
                    self.queues.delete(letter)
                else:
                    self.broker.acknowledge(letter.delivery)
                done += 1
                progress.clear()
                print(f"{letter.queue}: deleted {letter.outline.line()}", flush=True)
                progress.update(done)
        return done

    def _bring_back(self, letter: AnyLetter) -> str:
        if isinstance(letter, BrokerLetter):
            return redrive_broker(self.broker, self.queues, letter, self.correction)
        self.queues.redrive(letter)
        return letter.outline.routing_key

    def letters(self) -> Iterator[AnyLetter]:
        """Left where they are."""
        yield from list_all(self.queues, [name for name in self.chosen if name != BROKER])
        if BROKER in self.chosen:
            yield from broker_letters(self.broker, self.broker_queue)

    def _taken(self) -> Iterator[AnyLetter]:
        """Those meant, each to be dealt with before the next; the others are there for others again."""
        for function in self.chosen:
            if function == BROKER:
                yield from (one for one in broker_letters(self.broker, self.broker_queue) if matches(one, self.only))
                continue
            for letter in self.queues.letters(function):
                if matches(letter, self.only):
                    yield letter
                else:
                    self.queues.release(letter)


def whole(letter: AnyLetter) -> list[str]:
    """A letter with all that is known of it."""
    outline = letter.outline
    fields = {
        "id": outline.id, "queue": letter.queue, "type": outline.routing_key, "about": outline.subject,
        "version": outline.version, "taken at": outline.stamped_at and f"{outline.stamped_at.isoformat()} ({outline.age} ago)",
        "reason": letter.reason, "code": letter.code, "trace": letter.trace,
        "SQS's id": getattr(letter, "id", None),
    }
    try:
        text = json.dumps(json.loads(outline.text), indent=2, ensure_ascii=False)
        text.encode()  # halves of surrogate pairs cannot be printed
    except (ValueError, RecursionError):
        text = outline.text
    return [*(f"{name:9} {value}" for name, value in fields.items() if value), text, ""]
