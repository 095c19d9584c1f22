"""The templates, transformed as by AWS, are created on an emulator that refuses properties which it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from template.conftest import ALL, CELLS, EVERYTHING, OF_PARTS, ROOT, SAM, run
from template.expand import Values

TOOLS = Path(__file__).parent
PATHS = {"": "template-all", "Network": "template-network", "Balancer": "template-balancer", "Database": "template-database",
         "Xmpp": "template-xmpp", "Bridge": "template-bridge", "Rotation": "template-rotation"}
"""Templates by their place in the stack of all."""
NAMES = {"plain": {"NamePrefix": "plain-"}, "full": EVERYTHING | {"NamePrefix": "full-"},
         "cells": {"NamePrefix": "cells-"} | {name: CELLS[name] for name in ("CellNames", "CellTokenSecretArns")}}


def transformed(folder: Path, endpoint: str, parameters: dict[str, str]) -> dict[str, dict]:
    """Both templates as AWS creates resources from them. Alarms on metric math and CodeDeploy are left out, for the emulator knows
    neither."""
    given = [f"{key}={value}" for key, value in parameters.items()]
    for name in ("template", "template-observe"):
        run(SAM / "python", TOOLS / "transform.py", ROOT / f"{name}.yaml", folder / f"{name}.json",
            f"{endpoint}/artifacts", *(one for one in given if name == "template" or one.startswith("CellNames=")))
    templates = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("template", "template-observe")}
    without_codedeploy(templates["template"])
    (folder / "template.json").write_text(json.dumps(templates["template"]))
    observe = templates["template-observe"]
    math = [name for name, one in observe["Resources"].items() if "Metrics" in one["Properties"]]
    assert len(math) == 10 and all(name.startswith("DeadLettersGrow") for name in math)
    observe["Resources"] = {name: one for name, one in observe["Resources"].items() if name not in math}
    (folder / "template-observe.json").write_text(json.dumps(observe))
    return templates


def without_codedeploy(template: dict) -> None:
    """Takes out what shifts calls from version to version: an alias is at its version at once."""
    resources = template["Resources"]
    left_out = {name for name, one in resources.items() if "CodeDeploy" in one["Type"] or "Metrics" in one["Properties"]}
    assert left_out == {"DeploymentApplication", "EventsFailWithReleaseAlarm"} | {
        name for name in resources if name.endswith("DeploymentGroup")}
    for name in left_out:
        del resources[name]
    for one in resources.values():
        one.pop("UpdatePolicy", None)


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_is_created(name: str, endpoint: str, tmp_path: Path):
    parameters = NAMES[name]
    templates = transformed(tmp_path, endpoint, parameters)
    made = json.loads(run(SAM / "python", TOOLS / "create.py", endpoint, tmp_path, "template", name,
                          *(f"{key}={value}" for key, value in parameters.items())))
    assert made["status"] == "CREATE_COMPLETE" and made["failures"] == []
    values = Values(templates["template"], parameters)
    assert made["resources"][""] == {
        logical_id: one["Type"] for logical_id, one in templates["template"]["Resources"].items()
        if "Condition" not in one or values.holds(one["Condition"])}
    conditional = {"BridgeFailingAlarm", "BridgeBehindAlarm"}, {"BridgeStoppedAlarm", "BrokerBlockedAlarm"}
    absent = {*conditional[name == "full"], *([] if name == "cells" else ["CellAwayAlarm"])}
    assert made["resources"]["Observe"].keys() == templates["template-observe"]["Resources"].keys() - absent
    # What the API calls the emulator does not say: test_releases.py.
    released = made["called"].keys() - {"BridgeFunction"}
    assert len(released) == 10
    assert {one for function in released for one in made["called"][function]} == ({"live"} if name == "full" else {""})
    assert {*map(tuple, made["live"].values())} == ({("1",), ()} if name == "full" else {()})
    assert made["queue"]["VisibilityTimeout"] == "390"
    assert made["queue"]["RedrivePolicy"] and f":{name}-domain-created-dead" in made["queue"]["RedrivePolicy"]
    assert made["outputs"]["QueueUrlPrefix"].endswith(f"/{name}-")
    assert made["environment"]["SIPPO_LEDGER__TABLE"] == f"{name}-ledger"
    secrets = {key for key in made["environment"] if key.endswith("SECRET_ARN")}
    # The emulator does not look at it.
    cors = values.resolve(templates["template"]["Resources"]["Api"]["Properties"]["Body"]).get("x-amazon-apigateway-cors")
    if name == "full":
        assert cors["allowOrigins"] == EVERYTHING["AllowedOrigins"].split(",") and len(cors["allowHeaders"]) > 10
        assert len(secrets) == 2 and made["outputs"]["ApiUrl"] == "https://api.example.com"
    else:
        assert cors is None and not secrets


def test_the_next_release_is_another_version_and_the_one_before_stays(endpoint: str, tmp_path: Path):
    parameters = {"NamePrefix": "next-", "Release": "first"}
    transformed(tmp_path, endpoint, parameters)

    def deploy(*options: str, **changes: str) -> dict:
        given = (f"{key}={value}" for key, value in {**parameters, **changes}.items())
        return json.loads(run(SAM / "python", TOOLS / "create.py", endpoint, tmp_path, "template", "next", *options, *given))
    first, same, second = deploy(), deploy("--update", LogLevel="warn"), deploy("--update", LogLevel="warn", Release="second")
    assert [one["status"] for one in (first, same, second)] == ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE"]
    released = [name for name, live in first["live"].items() if live]
    assert len(released) == 15
    for name in released:
        assert [one["live"][name] for one in (first, same, second)] == [["1"], ["1"], ["2"]], name
        # By its description docs/OPERATIONS.md finds the version to go back to.
        assert [one["versions"][name] for one in (first, same, second)] == [
            {"1": "first"}, {"1": "first"}, {"1": "first", "2": "second"}], name
        assert second["called"].get(name, ["live"]) == ["live"]
    assert len(second["called"]) == 10


def test_the_emulator_refuses_what_it_does_not_know(endpoint: str, tmp_path: Path):
    """Or its consent would mean nothing: with the alarms that are left out above there is no stack."""
    templates = transformed(tmp_path, endpoint, {"NamePrefix": "wrong-"})
    alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": {
        "Metrics": [{"Id": "one", "Expression": "DIFF(other)"}], "EvaluationPeriods": 1, "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold"}}
    templates["template-observe"]["Resources"]["Wrong"] = alarm
    (tmp_path / "template-observe.json").write_text(json.dumps(templates["template-observe"]))
    made = json.loads(run(SAM / "python", TOOLS / "create.py", endpoint, tmp_path, "template", "wrong",
                          "NamePrefix=wrong-"))
    assert made["status"] == "ROLLBACK_COMPLETE", made


UNKNOWN = {"AWS::EC2::FlowLog", "AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::SecretsManager::RotationSchedule"}
"""Types that the emulator's CloudFormation does not know."""


def write(name: str, folder: Path, endpoint: str) -> dict:
    """One of the other templates without what the emulator does not know; what was left out of it."""
    file = folder / f"{name}.json"
    run(SAM / "python", TOOLS / "transform.py", ROOT / f"{name}.yaml", file, f"{endpoint}/artifacts")
    template = json.loads(file.read_text())
    left_out = {key for key, one in template["Resources"].items() if one["Type"] in UNKNOWN}
    assert left_out == {"template-network": {"FlowLog", "NatAddress", "NatGateway"}, "template-rotation": {"Rotation"}}.get(name, set())
    template["Resources"] = {key: one for key, one in template["Resources"].items() if key not in left_out | {"PrivateRoute"}}
    file.write_text(json.dumps(template))
    return template


def test_a_further_xmpp_server_is_created(endpoint: str, tmp_path: Path):
    names = ["template-cell", "template-balancer", "template-database", "template-xmpp", "template-rotation"]
    templates = {name: write(name, tmp_path, endpoint) for name in [*names, "template-network"]}

    def create(name: str, stack: str, parameters: dict[str, str]) -> dict:
        return json.loads(run(SAM / "python", TOOLS / "create.py", endpoint, tmp_path, name, stack,
                              *(f"{key}={value}" for key, value in parameters.items())))
    network = create("template-network", "further-network", {"NamePrefix": "further-", "HasNatGateway": "false"})["outputs"]
    made = create("template-cell", "further", OF_PARTS["template-cell"][1] | network)
    assert made["status"] == "CREATE_COMPLETE" and made["failures"] == [], made
    paths = {path: name for path, name in PATHS.items() if name in names} | {"": "template-cell"}
    assert made["resources"].keys() == paths.keys()
    for path, name in paths.items():
        assert made["resources"][path].keys() == templates[name]["Resources"].keys(), path
    assert made["outputs"]["XmppUrl"] == "ws://xmpp.sippo-xmpp-eu-2-chat.internal:5280/xmpp-websocket"
    assert made["outputs"]["AdminTokenSecretArn"].startswith("arn:aws:secretsmanager:")


def test_all_of_it_is_created_in_an_empty_account(endpoint: str, tmp_path: Path):
    transformed(tmp_path, endpoint, {"NamePrefix": "all-"})
    parameters = ALL | {"NamePrefix": "all-", "HasNatGateway": "false", "HasRotation": "true"}
    for name in PATHS.values():
        template = write(name, tmp_path, endpoint)
        if name == "template-bridge":  # the emulator makes no number of a parameter's text there
            count = template["Resources"]["Service"]["Properties"]
            assert count["DesiredCount"] == {"Ref": "DesiredCount"}
            count["DesiredCount"] = template["Parameters"]["DesiredCount"]["Default"]
            (tmp_path / f"{name}.json").write_text(json.dumps(template))
    made = json.loads(run(SAM / "python", TOOLS / "create.py", endpoint, tmp_path, "template-all", "all",
                          *(f"{key}={value}" for key, value in parameters.items())))
    assert made["status"] == "CREATE_COMPLETE" and made["failures"] == [], made
    assert made["resources"].keys() == {"", "Network", "Balancer", "Database", "Xmpp", "Service", "Service/Observe", "Bridge", "Rotation"}
    for path, name in PATHS.items():
        template = json.loads((tmp_path / f"{name}.json").read_text())
        expected = {key for key, one in template["Resources"].items() if one.get("Condition") not in ("HasNat", "HasCells")}
        assert made["resources"][path].keys() == expected, path
    assert made["environment"]["SIPPO_XMPP__XMPP_URL"] == "ws://xmpp.all-chat.internal:5280/xmpp-websocket"
    assert made["environment"]["SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN"].startswith("arn:aws:secretsmanager:")
