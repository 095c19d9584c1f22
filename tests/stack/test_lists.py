"""What a new event type or endpoint needs in several places is in all of them; CONTRIBUTING.md lists them.

Other places are looked after by the compiler and by the tests of the templates, of the API documents and of the samples.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from stack.event_types import CELLS, EVENT_FUNCTIONS, RESYNC, VARIANTS
from stack.functions import REST_FUNCTIONS
from stack.paths import ROOT

BINARIES = ROOT / "functions" / "src" / "bin"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("function", EVENT_FUNCTIONS)
def test_each_event_type_has_a_program_that_runs_it(function: str):
    program = BINARIES / f"{function}.rs"
    assert program.exists(), f"{program.relative_to(ROOT)} is missing; copy a neighbour and name EventType::{VARIANTS[function]} in it"
    assert f"sqs::run(EventType::{VARIANTS[function]})" in program.read_text()


def test_every_other_program_is_an_endpoint_or_an_operators():
    programs = {path.stem: path.read_text() for path in BINARIES.glob("*.rs")}
    assert {name for name, text in programs.items() if "rest::run::<" in text} == set(REST_FUNCTIONS)
    assert set(programs) == {*EVENT_FUNCTIONS, *REST_FUNCTIONS, RESYNC, CELLS}


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
    assert len(lines) == len(EVENT_FUNCTIONS), "the line of each type in event_type.rs begins with Received"
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


def test_functions_know_the_xmpp_servers_variables():
    """One environment may serve both; what neither knows is misspelt, and stops a function."""
    server = (ROOT / "xmpp-server" / "prosody.cfg.lua").read_text()
    named = re.findall(r'\b(?:env|number|list|paths|(secret|token))\("([A-Z_]+)"', server)
    names = {name for _, name in named} | {f"{name}_FILE" for is_secret, name in named if is_secret}
    source = (ROOT / "core" / "src" / "config" / "variables.rs").read_text()
    known = re.search(r"const XMPP_SERVER: &\[&str\] = &\[(.*?)\];", source, re.DOTALL)
    assert len(names) > 40
    assert set(re.findall(r'"([A-Z_]+)"', known[1])) == names, "core/src/config/variables.rs has to list them"


def test_the_guide_names_what_is_there():
    """Paths in CONTRIBUTING.md, but for those of its examples: `<…>` and `…`."""
    named = set(re.findall(r"`((?:\.?[\w-]+/)+[\w.*-]*|[\w-]+\.(?:toml|yaml|md|json))`", GUIDE))
    assert len(named) > 20
    missing = {path for path in named if not list(Path(ROOT).glob(path.rstrip("/")))}
    assert not {path for path in missing if not path.startswith("target/")}


NUMBERS = "Zero One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve Thirteen Fourteen Fifteen Sixteen".split()


@pytest.mark.parametrize("heading", ["An endpoint", "An event type"])
def test_the_guide_counts_the_rows_of_its_tables(heading: str):
    part = re.search(rf"^## {heading}\n(.*?)^## ", GUIDE, re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", part, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    new = sum(file.startswith("new: ") for _, file in rows)
    assert f"\n{NUMBERS[len(rows)]} files, {NUMBERS[new].lower()} of them new; " in part, (len(rows), new)


def test_the_estimate_of_costs_counts_the_queues():
    text = (ROOT / "docs" / "DEPLOY.md").read_text()
    assert f"| {NUMBERS[len(EVENT_FUNCTIONS)].lower()} queues, polled" in text, "docs/DEPLOY.md, costs: queues and their requests"


def test_the_outputs_of_the_stack_and_the_documents_that_use_them():
    """Every output is used by a document's step, under its name; and a document names none that is not there."""
    def outputs_of(name: str) -> set[str]:
        return set(re.findall(r"^  (\w+):", (ROOT / name).read_text().partition("\nOutputs:\n")[2], re.MULTILINE))
    outputs, of_all = outputs_of("template.yaml"), outputs_of("template-all.yaml")
    text = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("DEPLOY", "OPERATIONS"))
    named = set(re.findall(r"\boutputs? `?(\w+)`?", text)) & set(re.findall(r"\b[A-Z]\w+\b", text))
    assert named - outputs - of_all == set()
    assert {name for name in of_all if name not in text} == set()
    endpoints = {f"{name}Name" for name in re.findall(r"^  (\w+Function):\n.*\n.*Binary: (?:" + "|".join(REST_FUNCTIONS) + ")}",
                                                      (ROOT / "template.yaml").read_text(), re.MULTILINE)}
    assert len(endpoints) == len(REST_FUNCTIONS) and "LoginFunctionName" in text, "of the endpoints' one stands for all"
    assert {name for name in outputs - endpoints if name not in text} == set(), "docs/DEPLOY.md or docs/OPERATIONS.md has to say what they are for"


def test_the_readme_lists_every_call():
    described = yaml.safe_load((ROOT / "events" / "openapi.yaml").read_text())["paths"]
    calls = {f"{method.upper()} {path.replace('{jid}', ':jid')}"
             for path, item in described.items() for method in item if method != "parameters"}
    rows = re.findall(r"^\| `([A-Z]+ /\S+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(calls), "README.md has to list the calls of events/openapi.yaml"


@pytest.mark.parametrize("function", REST_FUNCTIONS)
def test_every_endpoint_has_an_output_with_its_name(function: str):
    template, _, outputs = (ROOT / "template.yaml").read_text().partition("\nOutputs:\n")
    resource = re.search(rf"^  (\w+):\n    Type: AWS::Serverless::Function\n.*Binary: {function}}}", template, re.MULTILINE)
    assert resource is not None, f"template.yaml has no function with the binary {function}"
    assert f"  {resource[1]}Name: {{Value: !Ref {resource[1]}}}\n" in outputs, f"template.yaml needs an output {resource[1]}Name"


def test_the_rehearsals_of_operations_are_there():
    part = (ROOT / "docs" / "OPERATIONS.md").read_text().partition("\n## Rehearsals\n")[2].partition("\n## ")[0]
    named = re.findall(r"`(tests/\S+?\.py)(?:::(\w+))?`", part)
    assert len(named) >= 10
    assert [(path, test) for path, test in named if f"def {test}" not in (ROOT / path).read_text()] == []


def test_no_two_test_files_have_one_name():
    """pytest imports them by it, and a failure's report names no folder."""
    folders: dict[str, list[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        folders.setdefault(path.name, []).append(path.parent.name)
    assert {name: where for name, where in folders.items() if len(where) > 1} == {}
