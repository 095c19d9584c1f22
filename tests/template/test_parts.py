"""What stands around template.yaml in an empty account: network, PostgreSQL, XMPP server, balancer, bridge, and what nests them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stack import image, prosody
from template.conftest import ALL, CELLS, OF_PARTS, PARTS, ROOT, expand
from template.names import variables
from template.test_template import of_type

WEBSOCKET, UPLOADS = "/xmpp-websocket", "/file_share/*"


def containers(template: dict) -> list[dict]:
    [task] = of_type(template, "AWS::ECS::TaskDefinition").values()
    return task["ContainerDefinitions"]


def container(template: dict) -> dict:
    """The one that the task is there for: what else there may be comes to its end before."""
    [one] = [one for one in containers(template) if one["Essential"]]
    return one


def service(template: dict) -> dict:
    [one] = of_type(template, "AWS::ECS::Service").values()
    return one


def environment(template: dict) -> set[str]:
    one = container(template)
    return {variable["Name"] for variable in [*one["Environment"], *one.get("Secrets", [])]}


@pytest.mark.parametrize("full", [False, True])
def test_there_are_never_two_xmpp_servers(parts, full):
    one = service(parts["template-xmpp"][full])
    deployment = one["DeploymentConfiguration"]
    assert (one["DesiredCount"], deployment["MaximumPercent"], deployment["MinimumHealthyPercent"]) == (1, 100, 0)
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


def test_there_are_two_bridges_and_one_is_always_left(parts):
    one = service(parts["template-bridge"][0])
    deployment = one["DeploymentConfiguration"]
    assert one["DesiredCount"] == 2 and deployment["MinimumHealthyPercent"] == 50
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize("name", ["bridge", "xmpp-server"])
def test_a_task_runs_its_image_as_the_image_says(parts, name):
    said = {one.name: one for one in image.parse((ROOT / "images" / name / "Dockerfile").read_text())}
    template = parts["template-xmpp" if name == "xmpp-server" else "template-bridge"][1]
    one = container(template)
    assert one["ReadonlyRootFilesystem"] is True and one["User"] == said["USER"].rest
    assert one["HealthCheck"]["Command"] == ["CMD", *json.loads(said["HEALTHCHECK"].rest.removeprefix("CMD "))]
    assert {str(port["ContainerPort"]) for port in one["PortMappings"]} == set(said["EXPOSE"].words)
    assert {mount["ContainerPath"] for mount in one.get("MountPoints", [])} == set(said["VOLUME"].words if "VOLUME" in said else [])
    [task] = of_type(template, "AWS::ECS::TaskDefinition").values()
    assert task["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    assert not any(re.search("TOKEN|PASSWORD", variable["Name"]) and not variable["Name"].endswith("_SECRET_ARN")
                   for variable in one["Environment"]), "secrets are not in the task definition"


def test_every_variable_is_one_that_the_program_reads(parts):
    table = (ROOT / "xmpp-server" / "README.md").read_text()
    known = {f"SIPPO_XMPP_{name}" for row in re.findall(r"^\| ((?:`[A-Z_…]+`[^|]*)+)\|", table, re.MULTILINE)
             for name in re.findall(r"`([A-Z_]+)`", row)}
    known |= {f"{name}_{suffix}" for name in known for suffix in ("FILE", "PREVIOUS")} | {"SIPPO_XMPP_STORAGE_PASSWORD", "PGSSLMODE"}
    assert environment(parts["template-xmpp"][1]) <= known
    assert {"SIPPO_XMPP_ADMIN_TOKEN", "SIPPO_XMPP_STORAGE", "SIPPO_XMPP_STORAGE_PASSWORD"} <= environment(parts["template-xmpp"][0])
    assert environment(parts["template-bridge"][1]) <= variables() | {"POWERTOOLS_SERVICE_NAME"}


def test_a_token_that_is_being_changed_is_accepted_besides(parts):
    plain, full = parts["template-xmpp"]
    assert "SIPPO_XMPP_ADMIN_TOKEN_PREVIOUS" in environment(full) and "SIPPO_XMPP_ADMIN_TOKEN_PREVIOUS" not in environment(plain)

    def readable(template: dict) -> list:
        [policy] = template["Resources"]["ExecutionRole"]["Properties"]["Policies"]
        [statement] = policy["PolicyDocument"]["Statement"]
        assert statement["Action"] == "secretsmanager:GetSecretValue"
        return sorted(statement["Resource"])

    def secret(value: str) -> str:
        """Without what of it is wanted: `arn:KEY::`."""
        return re.sub(r"(:secret:[^:]+):\w+::$", r"\1", value)
    for template in (plain, full):
        given = {secret(one["ValueFrom"]) for each in containers(template) for one in each["Secrets"]}
        assert readable(template) == sorted(given), "these, and no others"


def test_the_balancer_lets_only_clients_paths_through(parts):
    template = parts["template-balancer"][1]
    listeners = of_type(template, "AWS::ElasticLoadBalancingV2::Listener")
    assert {one["Protocol"]: one["DefaultActions"][0]["Type"] for one in listeners.values()} == {
        "HTTPS": "fixed-response", "HTTP": "redirect"}
    [rule] = of_type(template, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    assert rule["Conditions"] == [{"Field": "path-pattern", "PathPatternConfig": {"Values": [WEBSOCKET, UPLOADS]}}]
    # What the XMPP server serves there, and what it must not.
    assert prosody.WEBSOCKET_PATH == WEBSOCKET and not prosody.HOSTS_PATH.startswith(UPLOADS[:-1])


def test_a_quiet_connection_has_pings_before_the_balancer_drops_it(parts):
    [balancer] = of_type(parts["template-balancer"][0], "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    attributes = {one["Key"]: one["Value"] for one in balancer["LoadBalancerAttributes"]}
    [keep_alive] = re.findall(r'number\("KEEPALIVE", (\d+)', (ROOT / "xmpp-server" / "prosody.cfg.lua").read_text())
    assert int(attributes["idle_timeout.timeout_seconds"]) > 2 * int(keep_alive)


def test_the_network_has_the_endpoints_that_are_needed(parts):
    endpoints = {json.dumps(one["ServiceName"]).rpartition("}.")[2].strip('"}'): one["VpcEndpointType"]
                 for one in of_type(parts["template-network"][0], "AWS::EC2::VPCEndpoint").values()}
    # Functions: DEPLOY, step "Network". Tasks: their images, which ECR keeps in S3, their secrets, their logs.
    assert endpoints == {"dynamodb": "Gateway", "s3": "Gateway", "sqs": "Interface", "secretsmanager": "Interface",
                         "logs": "Interface", "ecr.api": "Interface", "ecr.dkr": "Interface"}


def test_the_database_is_as_it_has_to_be(parts):
    [one] = of_type(parts["template-database"][0], "AWS::RDS::DBInstance").values()
    assert one["StorageEncrypted"] and one["DeletionProtection"] and one["BackupRetentionPeriod"] >= 7
    assert not one["PubliclyAccessible"] and one["MultiAZ"] == "true"
    [settings] = of_type(parts["template-database"][0], "AWS::RDS::DBParameterGroup").values()
    assert settings["Parameters"]["rds.force_ssl"] == "1"
    assert not {"synchronous_commit", "fsync"} & settings["Parameters"].keys(), "what a loss of power costs is the operator's decision"
    known = re.search(r"^\| PostgreSQL \| ([^|]+)\|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert known and one["EngineVersion"].split(".")[0] in known[1].strip().split(", ")


def test_with_further_xmpp_servers_the_first_is_said_by_the_configuration_alone(folder):
    """Beside [[cells]] the keys of the only XMPP server stop a start."""
    several = expand(folder / "all-cells", "template-all", ALL | {name: CELLS[name] for name in ("CellNames", "CellTokenSecretArns")})
    of_one = {"XmppUrl", "PublicXmppUrl", "HostsAdminUrl", "AdminTokenSecretArn"}
    service = several["Resources"]["Service"]["Properties"]["Parameters"]
    assert {service[name] for name in of_one} == {""} and service["CellNames"] == CELLS["CellNames"]
    assert several["Resources"]["Bridge"]["Properties"]["Parameters"]["AdminTokenSecretArn"] == ""
    bridge = expand(folder / "bridge-cells", "template-bridge", OF_PARTS["template-bridge"][0] | {"AdminTokenSecretArn": ""})
    assert not [name for name in environment(bridge) if name.startswith("SIPPO_XMPP__")]
    outputs = {"VpcId", "VpcCidr", "PublicSubnetIds", "PrivateSubnetIds", "ClientSecurityGroupId"}
    assert outputs <= several["Outputs"].keys()
    cell = templates()["template-cell.yaml"]
    assert outputs <= set(re.findall(r"^  (\w+):", section(cell, "Parameters"), re.MULTILINE))
    assert of_one <= set(re.findall(r"^  (\w+):", section(cell, "Outputs"), re.MULTILINE)) and of_one <= several["Outputs"].keys()


def templates() -> dict[str, dict]:
    """Parameters, outputs of every template, by its file's name."""
    return {path.name: path.read_text() for path in ROOT.glob("template*.yaml")}


def section(text: str, name: str) -> str:
    """What stands below a key of the first level."""
    found = re.search(rf"^{name}:\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize(("name", "left_out"), [
    ("template-all", {"observe", "cell"}), ("template-cell", {"observe", "all", "network", "bridge"})])
def test_what_nests_gives_each_what_it_takes_and_takes_what_it_gives(parts, name, left_out):
    every = templates()
    nested = of_type(parts[name][1], "AWS::Serverless::Application")
    missing = {f"{name}.yaml", *(f"template-{one}.yaml" for one in left_out), *(["template.yaml"] if name == "template-cell" else [])}
    assert {one["Location"] for one in nested.values()} == every.keys() - missing
    for one in nested.values():
        declared = section(every[one["Location"]], "Parameters")
        names = set(re.findall(r"^  (\w+):", declared, re.MULTILINE))
        required = {name for name, body in re.findall(r"^  (\w+):(.*?)(?=^  \w|\Z)", declared, re.MULTILINE | re.DOTALL)
                    if "Default:" not in body}
        assert required <= one["Parameters"].keys() <= names, one["Location"]
    text = every[f"{name}.yaml"]
    for logical_id, output in re.findall(r"(\w+)\.Outputs\.(\w+)", text):
        outputs = section(every[nested[logical_id]["Location"]], "Outputs")
        assert re.search(rf"^  {output}:", outputs, re.MULTILINE), f"{logical_id}.{output}"


@pytest.mark.parametrize("name", PARTS)
def test_every_parameter_is_described(parts, name):
    for parameter, one in parts[name][0].get("Parameters", {}).items():
        assert one.get("Description"), parameter
        if pattern := one.get("AllowedPattern"):
            assert re.search(pattern, OF_PARTS[name][1].get(parameter, str(one.get("Default")))), parameter


@pytest.mark.parametrize("name", PARTS)
def test_a_template_has_no_aliases(name):
    """CloudFormation takes YAML, but for these."""
    assert not re.search(r"(?:^|[\s\[{:,])[&*]\w", re.sub(r"#.*|'[^'\n]*'|\"[^\"\n]*\"", "", Path(ROOT / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", PARTS)
def test_roles_are_taken_for_this_account_only(parts, name):
    for logical_id, role in of_type(parts[name][1], "AWS::IAM::Role").items():
        [trust] = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}, logical_id


@pytest.mark.parametrize("name", PARTS)
def test_every_alarm_tells(parts, name):
    for logical_id, alarm in of_type(parts[name][1], "AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["arn:aws:sns:eu-west-1:123456789012:alarms"], logical_id
    for logical_id, alarm in of_type(parts[name][0], "AWS::CloudWatch::Alarm").items():
        assert "AlarmActions" not in alarm, logical_id
