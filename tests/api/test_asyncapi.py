"""events/asyncapi.yaml is AsyncAPI 3, the samples are what it says, and the parser takes what it allows and nothing else."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

from event_document import FORMS, at, function, generate, in_ascii, places
from stack.event_types import ROUTING_KEYS
from support import cargo

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"
SPECS, SPECS_VERSION = "@asyncapi/specs", "6.11.1"
EXAMPLES = 20
"""Generated for each message."""


def test_it_is_asyncapi_3(asyncapi):
    modules = ROOT / "target" / "node"
    schema = modules / "node_modules" / SPECS / "schemas" / "3.0.0-without-$id.json"
    if not schema.exists():
        assert shutil.which("npm"), "npm is missing; install it (Debian package npm) and start again"
        modules.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", modules,
                        f"{SPECS}@{SPECS_VERSION}"], check=True, timeout=300)
    validator = jsonschema_rs.Draft7Validator(json.loads(schema.read_text()))
    assert [error.message for error in validator.iter_errors(asyncapi)] == []
    wrong = copy.deepcopy(asyncapi)
    wrong["operations"]["onDomainCreated"]["action"] = "listen"
    assert not validator.is_valid(wrong), "it sees no fault"


def test_channels_are_the_codes(asyncapi):
    addresses = {channel["address"] for channel in asyncapi["channels"].values()}
    assert addresses == set(ROUTING_KEYS.values()), "events/asyncapi.yaml and core/src/events/event_type.rs differ"
    assert {function(address): address for address in addresses} == ROUTING_KEYS
    summaries = {operation["summary"] for operation in asyncapi["operations"].values()}
    assert summaries == {f"Handled by the function {name}." for name in ROUTING_KEYS}


@pytest.mark.parametrize("form", FORMS)
def test_every_sample_is_as_described(all_messages, form):
    seen = 0
    for message in all_messages:
        if message.form != form:
            continue
        validator = jsonschema_rs.Draft7Validator(message.schema)
        published = json.loads((EVENTS / f"{message.function}.{form.lower()}.json").read_text())
        validator.validate(published)
        assert message.example == published
        records = json.loads((EVENTS / f"{message.function}.json").read_text())["Records"]
        stamped = [json.loads(record["body"]) for record in records]
        matching = [one for one in stamped if ("specversion" in one["event"]) == (form == "CloudEvent")]
        assert len(matching) == 1 and matching[0]["routingKey"] == message.routing_key
        validator.validate(matching[0]["event"])
        seen += 1
    assert seen == len(ROUTING_KEYS)


ODD_TEXT = st.sampled_from([
    "", " ", " alice", "alice ", "Alice", "al ice", "a\x00b", "a\tb", "a\x7f", "adhoc-1", "adhoc", "conference.a.test",
    "Conference.A.test", "conference", "a..b", "-a.test", "a-.test", "a_b.test", "a.test.", "x" * 64 + ".test", "a@b",
    "a@b@c", "@", "a@", "@b", "a@-b", "a@conference.b", "a/b@c", "a b@c", "A@b", "a@B", "a@b/c", "x" * 600, "1.0", "chat",
    "a@" + ".".join(["y" * 50] * 6),
    "application/json", "text/plain", "application/x+JSON; a=b", "application/xml", "a\\20b", "\\20a", "\\5c", "'<>&\":",
])
ODD = st.one_of(ODD_TEXT, st.none(), st.booleans(), st.integers(), st.just([]), st.just({}), st.just([None]),
                st.builds(lambda text: [text], ODD_TEXT), st.builds(lambda text: {"username": text}, ODD_TEXT),
                st.builds(lambda text: {"username": "eve", "domain": text}, ODD_TEXT),
                st.just({"username": "eve", "capabilities": [1]}), st.just({"username": "eve", "capabilities": "chat"}))


@st.composite
def changed(draw, sample: dict):
    """A sample with a member taken out or given another value, as by a publisher's mistake."""
    changed = copy.deepcopy(sample)
    for _ in range(draw(st.integers(1, 2))):
        options = list(places(changed)) + [("specversion",)]
        path = draw(st.sampled_from(options))
        parent = at(changed, path[:-1])
        if draw(st.booleans()) or path[-1] == "specversion":
            parent[path[-1]] = copy.deepcopy(draw(ODD))
        else:
            del parent[path[-1]]
    return changed


def outcomes(cases: list[tuple[str, str]], folder: Path) -> list[str]:
    """What core's parser says of (routing key, body)s."""
    source, target = folder / "cases.jsonl", folder / "outcomes.txt"
    source.write_text("".join(json.dumps({"routingKey": key, "body": body}) + "\n" for key, body in cases))
    command = [*cargo.TEST, "--quiet", "--test", "events", "--",
               "--ignored", "--exact", "cases::outcomes_of_cases"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500,
                          env=os.environ | {"EVENT_CASES": str(source), "EVENT_OUTCOMES": str(target)})
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    return target.read_text().splitlines()


def without_capabilities(value):
    """The same without any member `capabilities`."""
    if isinstance(value, dict):
        return {name: without_capabilities(member) for name, member in value.items() if name != "capabilities"}
    return [without_capabilities(item) for item in value] if isinstance(value, list) else value


@pytest.mark.timeout(1800)
def test_the_parser_takes_what_the_document_allows_and_nothing_else(all_messages, tmp_path):
    def allows(message, payload) -> bool:
        # Who leaves, leaves: whatever their capabilities are, nobody looks at them.
        return message.allows(without_capabilities(payload) if message.routing_key.endswith("left") else payload)

    cases = []
    for message in all_messages:
        payloads = generate(from_schema(in_ascii(message.schema), allow_x00=False, codec="ascii"), EXAMPLES)
        payloads += generate(changed(message.example), 6 * EXAMPLES)
        cases += [(message.routing_key, payload, allows(message, payload)) for payload in payloads]
    said = outcomes([(key, json.dumps(payload)) for key, payload, _ in cases], tmp_path)
    assert len(said) == len(cases)
    allowed = sum(is_allowed for _, _, is_allowed in cases)
    assert allowed >= 500 and len(cases) - allowed >= 800, f"one-sided: {allowed} of {len(cases)} are allowed"
    # Whose domain a JID has to have the document says in words.
    wrong = [(key, payload, is_allowed, outcome) for (key, payload, is_allowed), outcome in zip(cases, said, strict=True)
             if is_allowed != (outcome in ("ok", "foreign-domain"))]
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(map(repr, wrong[:20]))
