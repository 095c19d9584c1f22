"""The Rust targets for long: under libFuzzer where there is a C++ compiler for it, else by the engine of `cargo test`.

libFuzzer sees which code an input reaches, and goes on from inputs that reach more; they are kept below
target/fuzz/corpus. The compiler's options for that are stable, so the pinned toolchain serves.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stack import bootstrap
from stack.paths import ROOT

FOLDER = ROOT / "target" / "fuzz"
SEEDS = ROOT / "tests" / "fuzz" / "corpus"
ROUND = 300
"""Most seconds that one target runs before the next has its turn."""
STUCK = 120
"""Seconds after which a run, which takes milliseconds, counts as one that does not end: by the clock on the wall, and the campaign may
have little of a busy machine."""
COVERAGE = " ".join(["--cfg fuzzing", "-Cpasses=sancov-module", *(f"-Cllvm-args=-sanitizer-coverage-{option}" for option in (
    "level=4", "inline-8bit-counters", "pc-table", "trace-compares"))])


@dataclass
class Campaign:
    """What is to run, and what came of it."""

    hours: float
    targets: list[str]
    jobs: int
    guided: bool
    say: Callable[[str], None]
    runs: int = 0
    findings: list[str] = field(default_factory=list)
    running: set[subprocess.Popen[str]] = field(default_factory=set)

    def run(self) -> int:
        """Builds, runs all targets in turns; how many findings there were."""
        program = build(self.guided)
        waiting, lock = deque(self.targets), threading.Lock()
        end = time.monotonic() + self.hours * 3600
        seconds = max(1, min(ROUND, int(self.hours * 3600 * self.jobs / len(waiting))))

        def work() -> None:
            while time.monotonic() < end:
                with lock:
                    if not waiting:
                        return
                    target = waiting.popleft()
                left = max(1, min(seconds, round(end - time.monotonic())))
                runs, finding = self.round(program, target, left)
                with lock:
                    self.runs += runs
                    if finding:
                        self.findings.append(finding)
                    else:
                        waiting.append(target)

        workers = [threading.Thread(target=work, daemon=True) for _ in range(self.jobs)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        finally:
            for process in self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.say(f"{self.runs} runs in {(used.ru_utime + used.ru_stime) / 3600:.2f} hours of processors (the build among them), "
                 f"{len(self.findings)} findings")
        return len(self.findings)

    def round(self, program: Path, target: str, seconds: int) -> tuple[int, str | None]:
        """A target's turn: the number of runs, and what there is to say of a finding."""
        log = FOLDER / "logs" / f"{target}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output, bootstrap.started(self.command(program, target, seconds), stdout=output, stderr=output,
                                                        env=os.environ | {"SIPPO_FUZZ_TARGET": target}) as process:
            self.running.add(process)
            code = process.wait()
            self.running.discard(process)
        text = log.read_text(errors="replace")
        told = re.findall(r"(?:stat::number_of_executed_units: |^\w+: )(\d+)(?: runs, nothing found)?$", text, re.MULTILINE)
        runs = int(told[-1]) if told else 0
        if code == 0:
            self.say(f"{target}: {runs} runs in {seconds} s, nothing found")
            return runs, None
        # As libFuzzer says it, and as the other engine does.
        [*_, file] = re.findall(r"(?:Test unit written to |^again: .* )(\S+)$", text, re.MULTILINE) or [log]
        self.say(f"{target} fails: {file}; the log is {log.relative_to(ROOT)}\n"
                 f"    again: cargo run -q -p sippo-xmpp-fuzz -- {target} {file}")
        return runs, f"{target}: {file}"

    def command(self, program: Path, target: str, seconds: int) -> list[str | Path]:
        """The command of a turn."""
        if not self.guided:
            return [program, target, "--seconds", str(seconds)]
        corpus, kept = FOLDER / "corpus" / target, FOLDER / "findings" / target
        for folder in (corpus, kept):
            folder.mkdir(parents=True, exist_ok=True)
        seeds = [SEEDS / target] if (SEEDS / target).is_dir() else []
        return [program, f"-max_total_time={seconds}", f"-timeout={STUCK}", "-rss_limit_mb=2048", "-max_len=1024", "-print_final_stats=1",
                f"-artifact_prefix={kept}/", corpus, *seeds]


def can_guide() -> bool:
    """Whether libFuzzer can be compiled."""
    return shutil.which("c++") is not None


def build(guided: bool) -> Path:
    """Compiles the targets apart from everything else; the program."""
    host = next(line.removeprefix("host: ") for line in subprocess.run(
        ["rustc", "-vV"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines() if line.startswith("host: "))
    folder = FOLDER / ("guided" if guided else "random")
    # The target is named so that build scripts and macros are compiled as ever.
    command = ["cargo", "build", "--quiet", "--locked", "--profile", "fuzz", "-p", "sippo-xmpp-fuzz", "--target", host, "--target-dir", folder]
    if bootstrap.run_to_end(command, cwd=ROOT, env=os.environ | ({"RUSTFLAGS": COVERAGE} if guided else {})).returncode != 0:
        raise RuntimeError("cargo build failed; see above")
    return folder / host / "fuzz" / "sippo-xmpp-fuzz"


def known() -> list[str]:
    """All targets, as their source lists them."""
    source = (ROOT / "tests" / "fuzz" / "src" / "targets" / "mod.rs").read_text()
    return re.findall(r"= targets! \{([^}]*)\}", source)[0].split()
