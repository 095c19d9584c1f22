"""What the page takes from others is what they have published."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from stack.console.server import PAGE
from support import node_packages

VENDOR = PAGE / "vendor"
OPTIONS = ("--bundle", "--format=esm", "--minify", "--target=es2022", "--legal-comments=none")


@pytest.mark.timeout(600)  # npm may have to install first
def test_the_bundle_is_what_the_pinned_packages_make(tmp_path: Path):
    node_packages.install()
    entry = node_packages.FOLDER / "console-entry.js"  # Node looks for packages from where the file is
    entry.write_text((VENDOR / "entry.js").read_text())
    made = tmp_path / "preact.js"
    esbuild = node_packages.FOLDER / "node_modules" / ".bin" / "esbuild"
    subprocess.run([esbuild, entry, *OPTIONS, f"--outfile={made}", "--log-level=warning"], check=True, timeout=60)
    _, _, bundle = (VENDOR / "preact.js").read_text().partition("\n")
    assert bundle == made.read_text()


def test_versions_hashes_and_licences_are_told():
    readme = (VENDOR / "README.md").read_text()
    header = (VENDOR / "preact.js").read_text().partition("\n")[0]
    locked = json.loads((node_packages.PINNED / "package-lock.json").read_text())["packages"]
    for name in ("preact", "htm"):
        package = locked[f"node_modules/{name}"]
        assert f"{name} {package['version']} ({package['license']})" in header
        assert f"| {name} | {package['version']} | {package['license']} (`LICENSE-{name}.txt`) | `{package['integrity']}` |" in readme
        assert (VENDOR / f"LICENSE-{name}.txt").stat().st_size > 500
    assert f"`{hashlib.sha256((VENDOR / 'preact.js').read_bytes()).hexdigest()}`" in readme
    assert " ".join(OPTIONS) in readme
