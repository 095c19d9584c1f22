"""scripts/sbom: valid CycloneDX, with all that is linked and nothing that only tests need."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
TARGET = "aarch64-unknown-linux-gnu"


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The documents' text by package, freshly written."""
    folder = tmp_path_factory.mktemp("sbom")
    subprocess.run([sys.executable, ROOT / "scripts" / "sbom", "--folder", folder], check=True, timeout=100)
    return {file.name.removesuffix(".cdx.json"): file.read_text() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def metadata() -> dict:
    """What cargo knows of the workspace: another view of it than the script's."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=100).stdout)


def reachable(metadata: dict, package: str, *kinds: str | None) -> set[str]:
    """name@version of all that `package` depends on by dependencies of these kinds, whatever the features."""
    names = {one["id"]: f"{one['name']}@{one['version']}" for one in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    [root] = [one["id"] for one in metadata["packages"] if one["name"] == package and one["id"] in metadata["workspace_members"]]
    found, waiting = set(), [root]
    while waiting:
        for need in nodes[waiting.pop()]["deps"]:
            if need["pkg"] not in found and any(kind["kind"] in kinds for kind in need["dep_kinds"]):
                found.add(need["pkg"])
                waiting.append(need["pkg"])
    return {names[one] for one in found}


def references(document: str) -> set[str]:
    return {one["bom-ref"] for one in json.loads(document)["components"]}


def test_there_is_one_for_each_package_that_is_deployed(documents):
    binaries = {path.parents[2].name for path in ROOT.glob("*/src/bin/*.rs")}
    assert set(documents) == binaries


def test_each_is_valid_and_a_wrong_one_is_not(documents):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for package, document in documents.items():
        assert validator.validate_str(document) is None, package
        assert validator.validate_str(document.replace('"library"', '"crate"')) is not None


def test_it_lists_what_is_linked_and_no_dependency_of_tests(documents, metadata):
    for package, document in documents.items():
        listed = references(document)
        assert any(one.startswith("tokio-xmpp@") for one in listed), package
        assert listed <= reachable(metadata, package, None, "build")
        for_tests = reachable(metadata, package, None, "build", "dev") - reachable(metadata, package, None, "build")
        assert for_tests, "nothing is for tests only: then this test shows nothing"
        assert not listed & for_tests
        # Crates that only other packages of the workspace use.
        assert not any(one.startswith("stateright@") for one in listed)


def test_direct_dependencies_are_all_there(documents, metadata):
    """Found in Cargo.toml, not by cargo tree."""
    for package, document in documents.items():
        names = {one.rpartition("@")[0] for one in references(document)}
        for folder in (package, "core"):
            manifest = tomllib.loads((ROOT / folder / "Cargo.toml").read_text())
            wanted = {name for name, need in manifest["dependencies"].items()
                      if not (isinstance(need, dict) and need.get("optional"))}
            assert wanted <= names, wanted - names


def test_every_crate_is_the_locked_one_and_hangs_together(documents):
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {f"{one['name']}@{one['version']}": one.get("checksum") for one in lock}
    for text in documents.values():
        document = json.loads(text)
        for one in document["components"]:
            assert [entry["content"] for entry in one.get("hashes", [])] == [
                entry for entry in [checksums[one["bom-ref"]]] if entry], one
            assert one["licenses"]
        needed = {need for entry in document["dependencies"] for need in entry["dependsOn"]}
        assert needed == references(text), "each crate is there because another one needs it"
        assert {entry["ref"] for entry in document["dependencies"]} == needed | {document["metadata"]["component"]["bom-ref"]}


def test_macros_are_told_from_what_is_linked(documents):
    scopes = {one["name"]: one["scope"] for one in json.loads(documents["functions"])["components"]}
    assert (scopes["tokio-xmpp"], scopes["ring"], scopes["serde_derive"], scopes["cc"]) == (
        "required", "required", "excluded", "excluded")
