"""Dead letters, as the page shows them."""

from __future__ import annotations

from typing import Any

from stack import stack_env
from stack.broker import Broker
from stack.dead_letters import BROKER, AnyLetter
from stack.event_types import EVENT_FUNCTIONS
from stack.redrive import Redrive

QUEUES = [*EVENT_FUNCTIONS, BROKER]


def _redrive(env: dict[str, str], broker: Broker, chosen: list[str], only: list[str]) -> Redrive:
    return Redrive(stack_env.queues(env), broker, f"{env['AMQP_QUEUE']}.dead", chosen, only, {})


def listed(env: dict[str, str]) -> list[dict[str, Any]]:
    """All there are, left where they are."""
    with Broker(env["AMQP_URL"]) as broker:
        return [_shown(letter) for letter in _redrive(env, broker, QUEUES, []).letters()]


def _shown(letter: AnyLetter) -> dict[str, Any]:
    outline = letter.outline
    return {"id": outline.id, "version": outline.version, "queue": letter.queue, "key": outline.routing_key, "subject": outline.subject,
            "age": outline.age, "reason": letter.reason, "code": letter.code, "body": outline.text,
            "trace": (letter.trace or "").split("-")[1:2]}


def bring_back(env: dict[str, str], queues: list[str], only: list[str]) -> list[dict[str, Any]]:
    """Sends those meant to their functions again; what became of each."""
    with Broker(env["AMQP_URL"]) as broker:
        return [{"id": letter.outline.id, "text": text, "isBack": is_back}
                for letter, text, is_back in _redrive(env, broker, queues or QUEUES, only).outcomes()]


def delete(env: dict[str, str], queue: str, version: str) -> int:
    """Forgets one for good; how many that were."""
    with Broker(env["AMQP_URL"]) as broker:
        return _redrive(env, broker, [queue], [version]).delete()
