"""Installs what a script needs and runs it in the project's own Python environment.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from stack import toolchain
from stack.command_line import in_words, waiting
from stack.paths import ROOT, VENV

REQUIREMENTS = ROOT / "tests" / "requirements.txt"
PYTHON = VENV / "bin" / "python"

STACK_PACKAGES = ["prosody", "prosody-modules", "lua-dbi-sqlite3", "rabbitmq-server"]
"""Debian packages that a running stack needs."""
TEST_PACKAGES = [*STACK_PACKAGES, "lua-check", "lua-dbi-postgresql", "postgresql", "sqlite3", "iproute2"]
CLIENT_PACKAGES = ["chromium"]
"""What docs/CLIENTS.md is tried in, besides Node's npm."""
NODE = 20
"""The oldest Node.js on which the tests' other implementation of SQS and DynamoDB runs."""
PREPARED = "SIPPO_PREPARED"
"""Environment variable: the process that has installed everything, and goes on in the project's Python."""


class BootstrapError(Exception):
    """Something is missing that cannot be installed; the message says what to do."""


def node_fault() -> str | None:
    """Why that one cannot run here; None if it can."""
    if shutil.which("node") is None:
        return f"Node.js is missing; install {NODE} or newer"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if not version or int(version.lstrip("v").split(".")[0]) < NODE:
        return f"Node.js {version} is too old; install {NODE} or newer"
    return None


def say(text: str) -> None:
    """A line for whoever started the script."""
    print(text, file=sys.stderr, flush=True)


def stop_on_signals() -> None:
    """Has SIGTERM and SIGHUP end the program as Ctrl-C does: through what cleans up behind it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


@contextlib.contextmanager
def started(command: list, **options) -> Iterator[subprocess.Popen[str]]:
    """Starts a command; when this program is told to stop, or fails, meanwhile, the command and all it started end first."""
    with subprocess.Popen(command, text=True, start_new_session=True, **options) as process:
        try:
            yield process
        except BaseException:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(10)
                except PermissionError:  # through sudo it is another user's
                    say(f"waiting for {command[0]} to end")
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
            raise


def run_to_end(command: list, capture_output: bool = False, **options) -> subprocess.CompletedProcess[str]:
    """As subprocess.run, but by `started`."""
    pipe = subprocess.PIPE if capture_output else None
    with started(command, stdout=pipe, stderr=pipe, **options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def debian_packages(packages: list[str]) -> None:
    """Installs the Debian packages that are missing."""
    if importlib.util.find_spec("ensurepip") is None:
        packages = [*packages, "python3-venv"]
    missing = [name for name in packages if not _is_installed(name)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        if shutil.which("sudo") is None or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode != 0:
            raise BootstrapError(f"Debian packages are missing; run as root: {' '.join(command)}")
        command = ["sudo", "-n", *command]
    if shutil.which("apt-get") is None:
        raise BootstrapError(f"install these with your system's package manager: {' '.join(missing)}")
    say(f"installing Debian packages: {' '.join(missing)}")
    # In runlevel 1 Debian's packages start no service of the system's own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    update = [*command[:command.index("apt-get")], "apt-get", "update"]
    for step in (update, command):
        with waiting(lambda: f"installing Debian packages ({step[step.index('apt-get') + 1]})"):
            done = run_to_end(step, env=environment, capture_output=True)
        if done.returncode != 0:
            raise BootstrapError(f"{' '.join(step)} failed; mend it and start again:\n{done.stderr.strip()[-2000:]}")


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return shutil.which("dpkg-query") is not None and subprocess.run(
        query, capture_output=True, text=True).stdout == "installed"


def python_environment(folder: Path = VENV, requirements: Path = REQUIREMENTS) -> None:
    """Makes the environment `folder` and installs the pinned `requirements`, unless that is done."""
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp, python = folder / "requirements.installed", folder / "bin" / "python"
    if _is_stamped(stamp, wanted, python):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another script may be at it
        if _is_stamped(stamp, wanted, python):
            return
        say(f"preparing the Python environment in {folder.relative_to(ROOT)}")
        if not python.exists():
            try:
                venv.create(folder, with_pip=True)
            except (subprocess.CalledProcessError, OSError) as error:
                raise BootstrapError(
                    f"cannot make a Python environment ({in_words(error)}); install Debian's python3-venv and start again") from error
        with waiting(lambda: f"installing {requirements.name}"):
            done = run_to_end(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements],
                capture_output=True)
        if done.returncode != 0:
            raise BootstrapError(f"pip could not install {requirements.name}:\n{done.stderr.strip()[-2000:]}")
        stamp.write_text(wanted)


def _is_stamped(stamp: Path, wanted: str, python: Path) -> bool:
    return python.exists() and stamp.exists() and stamp.read_text() == wanted


def rust_toolchain() -> None:
    """Has all commands from here on use the pinned Rust."""
    try:
        toolchain.select()
    except toolchain.ToolchainError as error:
        raise BootstrapError(str(error)) from error


def build(*arguments: str, profile: str = "stack") -> None:
    """Builds binaries with cargo, by Cargo.toml's profile of this name: all, or those named with --bin."""
    with building(*arguments, profile=profile):
        pass


@contextlib.contextmanager
def building(*arguments: str, profile: str = "stack") -> Iterator[None]:
    """As `build`, beside what the body does."""
    rust_toolchain()
    bins = () if "--bin" in arguments else ("--bins",)
    command = ["cargo", "build", "--profile", profile, "--locked", *bins, *arguments]
    with started(command, cwd=ROOT) as process:
        yield
        code = process.wait()
    if code != 0:
        raise BootstrapError(f"{' '.join(command)} failed; see above")


def reexec(packages: list[str], *programs: str) -> None:
    """Installs what is missing, and builds `programs` (arguments of `build`) meanwhile; then goes on in the
    project's Python. Returns only there."""
    if os.environ.pop(PREPARED, None) == str(os.getpid()):
        return
    try:
        with building(*programs) if programs else contextlib.nullcontext():
            debian_packages(packages)
            python_environment()
    except BootstrapError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execve(PYTHON, [str(PYTHON), *sys.argv], {**os.environ, PREPARED: str(os.getpid())})


def main() -> None:
    """Command line, for scripts/test."""
    parser = argparse.ArgumentParser(description="Installs what is missing.")
    parser.add_argument("--packages", nargs="*", metavar="NAME", help="of Debian, besides the project's Python environment")
    parser.add_argument("--environment", nargs=2, type=Path, action="append", default=[],
                        metavar=("FOLDER", "REQUIREMENTS"), help="a Python environment; may be repeated")
    options = parser.parse_args()
    stop_on_signals()
    try:
        if options.packages is not None:
            debian_packages(options.packages)
            python_environment()
        for folder, requirements in options.environment:
            python_environment(folder, requirements)
    except BootstrapError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
