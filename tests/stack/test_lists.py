"""What a new event type or endpoint needs in several places is in all of them; CONTRIBUTING.md lists them.

Other places are looked after by the compiler and by the tests of the templates, of the API documents and of the samples.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from stack.event_types import EVENT_FUNCTIONS, RESYNC, VARIANTS
from stack.functions import REST_FUNCTIONS
from stack.paths import ROOT

BINARIES = ROOT / "functions" / "src" / "bin"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("function", EVENT_FUNCTIONS)
def test_each_event_type_has_a_program_that_runs_it(function: str):
    program = BINARIES / f"{function}.rs"
    assert program.exists(), f"{program.relative_to(ROOT)} is missing; copy a neighbour and name EventType::{VARIANTS[function]} in it"
    assert f"sqs::run(EventType::{VARIANTS[function]})" in program.read_text()


def test_every_other_program_is_an_endpoint_or_resync():
    programs = {path.stem: path.read_text() for path in BINARIES.glob("*.rs")}
    assert {name for name, text in programs.items() if "rest::run::<" in text} == set(REST_FUNCTIONS)
    assert set(programs) == {*EVENT_FUNCTIONS, *REST_FUNCTIONS, RESYNC}


def test_every_endpoint_has_its_route_on_the_local_stack():
    """cargo lambda's router in Cargo.toml is what the API's description says."""
    router = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["metadata"]["lambda"]["watch"]["router"]
    routed = {}
    for path, entry in router.items():
        for one in entry if isinstance(entry, list) else [{"function": entry}]:
            routed.setdefault(path.replace("{*jid}", "{jid}"), {})[one.get("method")] = one["function"]
    described = yaml.safe_load((ROOT / "events" / "openapi.yaml").read_text())["paths"]
    for path, item in described.items():
        methods = {name.upper() for name in item if name != "parameters"}
        assert path in routed, f"Cargo.toml's router has no {path}"
        assert methods <= set(routed[path]) or set(routed[path]) == {None}, f"{path} lacks a method in Cargo.toml's router"
    assert {function for methods in routed.values() for function in methods.values()} == set(REST_FUNCTIONS)


def test_every_received_line_is_documented():
    source = (ROOT / "core" / "src" / "events" / "event_type.rs").read_text()
    known = (ROOT / "docs" / "OPERATIONS.md").read_text()
    lines = re.findall(r'^\s+(?:.*, )?"(Received .+)";$', source, re.MULTILINE)
    assert len(lines) == len(EVENT_FUNCTIONS)
    assert [line for line in lines if f"`{line}`" not in known] == [], "docs/OPERATIONS.md has to list them, to the letter"


def test_every_error_and_warning_is_documented():
    """By its constant beginning: up to what is filled in, or the first `;`."""
    known = (ROOT / "docs" / "OPERATIONS.md").read_text()
    missing = set()
    for path in [*(ROOT / "core" / "src").rglob("*.rs"), *(ROOT / "bridge" / "src").rglob("*.rs")]:
        source = path.read_text().partition("#[cfg(test)]\nmod tests {")[0]
        for call in re.findall(r"tracing::(?:error|warn)!\((.*?)\);", source, re.DOTALL):
            message = [text for raw, text in re.findall(r'(r#)?"((?:[^"\\]|\\.)*?)"', call) if " " in text]
            beginning = re.split(r"[;{]", message[-1])[0].strip() if message else ""
            if beginning and beginning not in known:
                missing.add(beginning)
    assert not missing, "docs/OPERATIONS.md has to list them, to the letter"


def test_the_guide_names_what_is_there():
    """Paths in CONTRIBUTING.md, but for those of its examples: `<…>` and `…`."""
    named = set(re.findall(r"`((?:\.?[\w-]+/)+[\w.*-]*|[\w-]+\.(?:toml|yaml|md|json))`", GUIDE))
    assert len(named) > 20
    missing = {path for path in named if not list(Path(ROOT).glob(path.rstrip("/")))}
    assert not {path for path in missing if not path.startswith("target/")}


def test_no_two_test_files_have_one_name():
    """pytest imports them by it, and a failure's report names no folder."""
    folders: dict[str, list[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        folders.setdefault(path.name, []).append(path.parent.name)
    assert {name: where for name, where in folders.items() if len(where) > 1} == {}
