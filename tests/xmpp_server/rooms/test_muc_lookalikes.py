"""sippo_lookalikes where Prosody is built without ICU: no table of confusable characters, so ASCII only."""

from __future__ import annotations

import subprocess

import pytest

from stack.paths import ROOT

LIBRARY = ROOT / "xmpp-server" / "modules" / "sippo_lookalikes.lib.lua"
WITHOUT_ICU = """
package.loaded["util.encodings"] = { stringprep = { nameprep = string.lower } };
local keys = dofile(arg[1]).keys(arg[2]);
for _, key in pairs(keys) do print(key); end
"""


def keys(name: str) -> set[str]:
    script = ROOT / "target" / "tests" / "lookalikes.lua"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(WITHOUT_ICU)
    done = subprocess.run(["lua5.4", str(script), str(LIBRARY), name], capture_output=True, text=True, timeout=20, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["carol", "CAROL", "Car0l", "caro1", "CaroI", "c a r o l"])
def test_ascii_names_that_look_alike_have_a_key_in_common(name):
    assert keys(name) & keys("carol")


@pytest.mark.parametrize("name", ["carla", "caro", "bob"])
def test_others_have_none(name):
    assert not keys(name) & keys("carol")


@pytest.mark.parametrize("name", ["сarol", "Zoë", "波布"])
def test_what_is_not_ascii_looks_like_anything(name):
    assert keys(name) == set()
