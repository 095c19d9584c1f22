"""What docs/CLIENTS.md says beside its code: each block is run, and its numbers are those of the code."""

import re

import pytest

import guide
from stack.paths import ROOT

TEXT = guide.GUIDE.read_text()


def test_every_block_of_javascript_is_a_module_that_is_bundled():
    found = guide.samples(TEXT)
    assert {"login.js", "session.js", "with-xmpp-client.js"} <= set(found)
    assert len(re.findall(r"^```js\b", TEXT, re.MULTILINE)) == len(found)
    assert not re.findall(r"^```(?:javascript|ts|typescript|jsx|html)$", TEXT, re.MULTILINE), "which no test would run"


def test_a_block_without_a_name_is_refused():
    with pytest.raises(guide.GuideError, match="does not begin with its file's name"):
        guide.samples("```js\nlet x;\n```\n")


def test_every_problem_that_the_rest_api_has_is_listed():
    described = (ROOT / "events" / "openapi.yaml").read_text()
    types = set(re.findall(r"urn:sippo-xmpp:problem:([a-z-]+)", described))
    assert len(types) > 10
    assert {name for name in types if f"`{name}`" not in TEXT} == set()


def test_its_links_lead_somewhere():
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
                for line in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        file, _, anchor = target.partition("#")
        if file:
            assert (guide.GUIDE.parent / file).exists(), target
        else:
            assert anchor in headings, target


UNITS = {"bytes": {"MiB": 1024 ** 2, "KiB": 1024}, "s": {"days": 86400, "h": 3600, "min": 60, "s": 1}}


def written(default: str, unit: str) -> str:
    """A default as the guide writes it."""
    number = int(default)
    names = ((name, size) for name, size in UNITS.get(unit.partition(",")[0], {}).items() if number % size == 0)
    name, size = next(names, ("", 1))
    return f"{number // size:,} {name}".strip()


def test_the_limits_are_the_defaults_of_the_options():
    readme = (ROOT / "xmpp-server" / "README.md").read_text()
    options = {name: (default.strip(), unit.strip()) for name, unit, default in
               re.findall(r"^\| `([A-Z_]+)` \|([^|]*)\|([^|]*)\|", readme, re.MULTILINE)}
    limits = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([A-Z_]+)` \|", TEXT, re.MULTILINE)
    assert len(limits) > 20
    for limit, name in limits:
        default, unit = options[name]
        if default.isdigit():
            assert re.match(rf"{written(default, unit)}\b", limit), f"{name} is {written(default, unit)}, not {limit}"
    told = {name for _, name in limits}
    quotas = {name for name in options if re.search("LIMIT|QUOTA|SLOTS|RETENTION|MAX_AGE", name)}
    assert quotas - told == set(), "docs/CLIENTS.md has to list them"
