"""The patched crate is the one that is built: a patch of another version than the one in use is left aside by cargo."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_patch_is_in_use():
    patches = tomllib.loads((ROOT / "Cargo.toml").read_text())["patch"]["crates-io"]
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    assert "patch" not in lock, f"not in use: {lock.get('patch')}"
    for name, patch in patches.items():
        manifest = tomllib.loads((ROOT / patch["path"] / "Cargo.toml").read_text())["package"]
        used = [package for package in lock["package"] if package["name"] == name]
        assert [package["version"] for package in used] == [manifest["version"]], name
        assert "source" not in used[0], f"{name} comes from a registry"
        assert manifest["license"] and (ROOT / patch["path"] / "LICENSE").is_file()
