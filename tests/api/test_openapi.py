"""events/openapi.yaml says what the code does, and the running functions do what it says."""

from __future__ import annotations

import http
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from stack.functions import REST_FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
LAMBDA = ROOT / "core" / "src" / "lambda"
URN = "urn:sippo-xmpp:problem:"
CASES = 300
"""Generated for each operation."""


def operations(document: dict) -> set[tuple[str, str]]:
    """(method, path) of all that the document describes."""
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"}


def test_it_is_openapi_31(openapi):
    assert openapi["openapi"].startswith("3.1.")
    for schema in openapi["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})

    def references(node):
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for child in node.values():
                yield from references(child)
        elif isinstance(node, list):
            for child in node:
                yield from references(child)

    for reference in set(references(openapi)):
        target = openapi
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_routes_and_methods_are_the_codes(openapi):
    source = (LAMBDA / "routes.rs").read_text()
    documented = set(re.findall(r"/// `([A-Z]+) (/sapi/[^`]+)`", source))
    assert len(documented) == len(re.findall(r'\(Self::\w+(?:\(_\))?, "[A-Z]+"\) => Some\(', source)) > 0
    assert operations(openapi) == {(method, path.replace(":jid", "{jid}")) for method, path in documented}


def test_routes_are_the_templates(openapi):
    source = (ROOT / "template.yaml").read_text()
    paths = set(re.findall(r'^ +"?(/sapi/[^",{}\s]+(?:\{jid\+\})?)"?:$', source, re.MULTILINE))
    assert {path.replace("{jid+}", "{jid}") for path in paths} == set(openapi["paths"])


def test_problems_are_the_codes(openapi):
    source = (LAMBDA / "problem.rs").read_text()
    in_code = {(name, http.HTTPStatus[status].value) for name, status in re.findall(
        r'Self::new\(\s*"([a-z-]+)",\s*StatusCode::([A-Z_]+)', source)}
    in_code |= {(name, 503) for name in re.findall(r'Self::unavailable\(\s*"([a-z-]+)"', source)}
    denied = re.findall(r'Denied::\w+(?:\((?:_|\.\.)\))? => (?:\{\s*)?\("([a-z-]+)"', source)
    assert len(denied) == 4
    in_code |= {(name, 403) for name in denied}
    in_document = set()
    for response in openapi["components"]["responses"].values():
        problem = response.get("content", {}).get("application/problem+json", {}).get("schema", {}).get("properties", {})
        in_document |= {(name.removeprefix(URN), problem["status"]["const"]) for name in problem.get("type", {}).get("enum", [])}
    assert in_document == in_code
    for path, method in ((path, method) for path, item in openapi["paths"].items() for method in item if method != "parameters"):
        for status, response in openapi["paths"][path][method]["responses"].items():
            name = response.get("$ref", "").rpartition("/")[2]
            problem = openapi["components"]["responses"].get(name, {}).get("content", {}).get("application/problem+json")
            assert problem is None or problem["schema"]["properties"]["status"]["const"] == int(status), (path, method)


def schemathesis(document: Path, api, token: str, folder: Path, cases: int) -> tuple[int, str]:
    """All its checks, on calls good and bad, in sequences too: exit code and report."""
    command = [
        Path(sys.executable).with_name("st"), "run", document, "--url", api.settings.url,
        "--header", f"Authorization: Bearer {token}", "--checks", "all", "--max-examples", str(cases),
        "--phases", "examples,coverage,fuzzing,stateful", "--seed", "1", "--generation-database", "none",
        "--request-timeout", "20", "--no-color", "--continue-on-failure", "--suppress-health-check", "all",
    ]
    api.secrets.add(token)
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=880,
                          env=os.environ | {"NO_PROXY": "127.0.0.1"})
    (folder / "schemathesis.txt").write_text(done.stdout + done.stderr)
    return done.returncode, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.mark.timeout(900)
def test_schemathesis_finds_no_difference(api, token, folder):
    code, report = schemathesis(ROOT / "events" / "openapi.yaml", api, token, folder, CASES)
    assert code == 0, report
    passed = re.search(r"([\d,]+) generated, ([\d,]+) passed", report)
    assert passed and int(passed[2].replace(",", "")) >= 2 * CASES, report


@pytest.mark.parametrize(("right", "wrong"), [
    ("{type: string, const: no-store}", "{type: string, const: no-cache}"),
    ("[jid, token, expiresAt, xmppUrl, mucDomain]", "[jid, token, expiresAt, xmppUrl, mucDomain, password]"),
    ("'204': {$ref", "'202': {$ref"),
    ("schema: {$ref: '#/components/schemas/Contact'}", "schema: {type: string, pattern: '^[a-z]+$'}"),
])
def test_schemathesis_finds_a_difference(api, token, folder, right, wrong):
    """It would see one: of headers, bodies, status codes, and what is accepted."""
    text = (ROOT / "events" / "openapi.yaml").read_text()
    assert right in text
    (folder / "wrong.yaml").write_text(text.replace(right, wrong))
    code, report = schemathesis(folder / "wrong.yaml", api, token, folder, 3)
    assert code == 1 and "FAILURES" in report, report


def test_the_document_is_the_samples(openapi):
    """The sample events of API Gateway are of its routes."""
    for sample in REST_FUNCTIONS:
        event = yaml.safe_load((ROOT / "events" / f"{sample}.json").read_text())
        method, path = event["requestContext"]["http"]["method"], event["rawPath"]
        matching = [template for verb, template in operations(openapi) if verb == method and re.fullmatch(
            template.replace("{jid}", ".+"), path)]
        assert matching, (method, path)
