"""The pinned Rust toolchain, under whatever name it is installed. Standard library only, as bootstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib

from stack.paths import ROOT

PIN = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]


class ToolchainError(Exception):
    """There is no Rust that would do; the message says what to install."""


def select() -> None:
    """Has all commands from here on use the pinned toolchain.

    rustup goes by names: it would download the pinned version though the same is there as `stable`. So a toolchain
    of that version with another name is named to it.
    """
    if shutil.which("cargo") is None:
        raise ToolchainError(f"cargo is missing; install Rust {PIN} (rust-toolchain.toml), best with rustup, and start again")
    if shutil.which("rustup") is None:
        version = _version({})
        if version != PIN:
            print(f"Rust {version} is used; the project is built and tested with {PIN}", file=sys.stderr, flush=True)
        return
    if "RUSTUP_TOOLCHAIN" in os.environ:
        return
    listed = subprocess.run(["rustup", "toolchain", "list", "--quiet"], capture_output=True, text=True).stdout.split()
    if any(name == PIN or name.startswith(f"{PIN}-") for name in listed):
        return
    for name in listed:
        if _version({"RUSTUP_TOOLCHAIN": name}) == PIN:
            os.environ["RUSTUP_TOOLCHAIN"] = name
            return
    # rustup downloads it now, or cannot.
    if _version({}) != PIN:
        raise ToolchainError(f"Rust {PIN} is missing; `rustup toolchain install {PIN}`, with a network, and start again")


def _version(environment: dict[str, str]) -> str | None:
    """Of the compiler that these variables select; `rustc 1.2.3 (commit date)` is how it tells."""
    done = subprocess.run(["rustc", "--version"], cwd=ROOT, capture_output=True, text=True, env=os.environ | environment)
    words = done.stdout.split()
    return words[1] if done.returncode == 0 and len(words) > 1 else None
