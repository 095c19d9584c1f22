"""scripts/fuzz, as far as it can be told in seconds."""

from __future__ import annotations

import re
import subprocess

import pytest

from fuzz import guided, mutants
from stack.paths import ROOT


def test_an_unknown_target_is_told_with_the_known_ones():
    done = subprocess.run([ROOT / "scripts" / "fuzz", "rust", "1", "--targets", "address,nonsense"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"there is no target nonsense; there are {', '.join(guided.known())}" in done.stderr


def test_the_targets_are_those_that_cargo_test_runs():
    minute = (ROOT / "tests" / "fuzz" / "tests" / "minute.rs").read_text()
    each = re.search(r"^each! \{([^}]*)\}", minute, re.MULTILINE)[1]
    assert re.findall(r"^ *(\w+): [\d_]+,$", each, re.MULTILINE) == guided.known()


def test_each_target_has_faults_to_find_and_each_can_be_planted():
    listed = mutants.known()
    assert {mutant.target for mutant in listed} == set(guided.known())
    for mutant in listed:
        text = (ROOT / mutant.file).read_text()
        assert mutant.name in mutant.planted(text)


def test_a_fault_that_has_lost_its_place_is_told():
    mutant = mutants.known()[0]
    with pytest.raises(ValueError, match=f"{mutant.name}: .* 0 times"):
        mutant.planted("fn main() {}")
