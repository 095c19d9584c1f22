"""Whether the Rust targets find what they are for: small faults are planted into the code they watch (mutants.toml).

All of them are compiled once, into a copy of the sources, each behind a look at an environment variable that chooses one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from stack import bootstrap
from stack.paths import ROOT

LIST = ROOT / "tests" / "fuzz" / "mutants.toml"
COPY = ROOT / "target" / "fuzz" / "mutants"
CHOICE = "SIPPO_MUTANT"
"""Environment variable: the fault that is to be made."""
LIMITS = {"SIPPO_FUZZ_SECONDS": "20", "SIPPO_FUZZ_REDUCING": "0"}
"""More than the few seconds that `cargo test` takes, for machines that have other things to do."""


@dataclass(frozen=True)
class Mutant:
    """A fault, and the target that has to find it."""

    name: str
    target: str
    what: str
    file: str
    before: str
    after: str

    def planted(self, text: str) -> str:
        """The file's text with this fault in it, to be chosen.

        Raises ValueError if what it changes is not there once.
        """
        if (found := text.count(self.before)) != 1:
            raise ValueError(f"{self.name}: {self.file} has {found} times, and not once: {self.before}")
        return text.replace(self.before, self.both())

    def both(self) -> str:
        """What is there and what takes its place, as one expression or statement."""
        before, after = self.before, self.after
        if self.file.endswith(".lua"):
            return f'(function () if os.getenv("{CHOICE}") == "{self.name}" then return {after}; end return {before}; end)()'
        chosen = f'std::env::var_os("{CHOICE}").is_some_and(|it| it == "{self.name}")'
        if before.endswith(";"):
            return f"if {chosen} {{ {after} }} else {{ {before} }}"
        return f"(if {chosen} {{ {after} }} else {{ {before} }})"


def known() -> list[Mutant]:
    """All faults, in the order of their list."""
    numbers: dict[str, count[int]] = {}
    listed = tomllib.loads(LIST.read_text())["mutant"]
    return [Mutant(f"{one['target']}-{next(numbers.setdefault(one['target'], count(1)))}", **one) for one in listed]


def plant(mutants: list[Mutant], folder: Path) -> None:
    """Copies the sources to `folder`, with all faults in them. What is there already and the same is left alone, for cargo."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        content = (ROOT / name).read_bytes()
        for mutant in mutants:
            if mutant.file == name:
                content = mutant.planted(content.decode()).encode()
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in names:
            path.unlink()


def build(folder: Path) -> Path:
    """Compiles the targets that `cargo test` runs; the program."""
    # As `scripts/test` compiles, so that dependencies are there already.
    command = ["cargo", "test", "--quiet", "--locked", "--workspace", "--all-features", "--target-dir", ROOT / "target", "--test", "minute",
               "--no-run", "--message-format=json-diagnostic-short"]
    done = bootstrap.run_to_end(command, cwd=folder, capture_output=True)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0:
        errors = [one["message"]["rendered"] for one in told if one.get("message", {}).get("level") == "error"]
        raise RuntimeError(f"the faults do not compile; see {LIST.relative_to(ROOT)}\n{''.join(errors) or done.stderr}")
    [program] = {one["executable"] for one in told if one.get("target", {}).get("name") == "minute" and one.get("executable")}
    return Path(program)


def run(targets: list[str], jobs: int, say: Callable[[str], None]) -> int:
    """Plants all faults and looks for those of `targets`; how many were not found."""
    mutants = known()
    plant(mutants, COPY)
    program = build(COPY)

    def is_found(mutant: Mutant) -> bool:
        done = bootstrap.run_to_end([program, "--exact", mutant.target], capture_output=True, cwd=COPY, env=os.environ | LIMITS | {CHOICE: mutant.name})
        found = re.search(rf"{mutant.target} fails \((.*)\)", done.stdout)
        say(f"{mutant.name}: {mutant.what}: {found[1] if found else 'NOT FOUND'}")
        return bool(found)

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(is_found, [mutant for mutant in mutants if mutant.target in targets]))
    say(f"{sum(outcomes)} of {len(outcomes)} faults found")
    return outcomes.count(False)
