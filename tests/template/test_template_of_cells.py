"""XMPP servers that speak with each other: who reaches their port, how they find each other, and where their keys are."""

from __future__ import annotations

import copy
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import image
from stack.cells import host_of
from template.conftest import ALL, OF_PARTS, ROOT, expand
from template.test_parts import container, containers, service
from template.test_template import of_type

PORT = 5270
CELL_FILES = ROOT / "images" / "cell-files"
FULL = OF_PARTS["template-xmpp"][1]
GROUP = FULL["CellSecurityGroupId"]
PEM = {"CELL_CERTIFICATE": "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n",
       "CELL_KEY": "-----BEGIN PRIVATE KEY-----\nYg==\n-----END PRIVATE KEY-----\n",
       "CELL_AUTHORITY": "-----BEGIN CERTIFICATE-----\nYw==\n-----END CERTIFICATE-----\n"}
KEY = "sippo-xmpp/cell-"


def rules_of_the_port(template: dict) -> list[dict]:
    """What lets somebody connect to the cells' port; rules that are resources of their own, too."""
    groups = of_type(template, "AWS::EC2::SecurityGroup").values()
    rules = [rule for group in groups for rule in group.get("SecurityGroupIngress", [])]
    rules += of_type(template, "AWS::EC2::SecurityGroupIngress").values()
    return [rule for rule in rules if rule["IpProtocol"] == "-1" or rule["FromPort"] <= PORT <= rule["ToPort"]]


def who_reaches_it(balancer: dict) -> list[dict]:
    """Those that may connect to the cells' port of the XMPP server, and to what else by the same rule."""
    return [{key: value for key, value in rule.items() if key not in ("Description", "GroupId")}
            for rule in rules_of_the_port(balancer)]


OTHER_CELLS = {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "SourceSecurityGroupId": GROUP}


def where_the_key_is(template: dict) -> list[str]:
    """What is wrong with how the key comes to the server; empty for nothing."""
    found = []
    for one in containers(template):
        paths = {variable["Name"]: variable["Value"] for variable in one.get("Environment", [])}
        given = {variable["Name"]: variable["ValueFrom"] for variable in one.get("Secrets", [])}
        mounts = {mount["SourceVolume"]: mount.get("ReadOnly", False) for mount in one["MountPoints"]}
        keys = [name for name, value in given.items() if FULL["CellSecretArn"] in value]
        if one["Essential"] and (keys or mounts.get("cell") is not True):
            found.append("the server has the key as a variable, or can write where it is")
        if any("KEY" in name and not value.startswith("/cell/") for name, value in paths.items()):
            found.append("the key is in the task definition")
        if not one["Essential"] and (one["User"] != "65532:65532" or not one["ReadonlyRootFilesystem"]):
            found.append("who writes it is not the server's user")
    [task] = of_type(template, "AWS::ECS::TaskDefinition").values()
    if [volume for volume in task["Volumes"] if volume["Name"] == "cell"] != [{"Name": "cell"}]:
        found.append("it is written to a disk that is there after the task")
    return found


def test_only_cells_reach_the_port_of_cells(parts):
    for name, (plain, full) in parts.items():
        assert rules_of_the_port(plain) == [], name
        assert who_reaches_it(full) == ([OTHER_CELLS] if name == "template-balancer" else []), name
    # The rule stands in the group of the XMPP server, and its tasks are in the group that the rule lets in.
    balancer, network, xmpp = (parts[f"template-{name}"][1] for name in ("balancer", "network", "xmpp"))
    assert OTHER_CELLS.items() <= balancer["Resources"]["XmppSecurityGroup"]["Properties"]["SecurityGroupIngress"][-1].items()
    configuration = service(xmpp)["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert configuration["SecurityGroups"] == [FULL["SecurityGroupId"], GROUP] and configuration["AssignPublicIp"] == "DISABLED"
    assert "SecurityGroupIngress" not in network["Resources"]["CellSecurityGroup"]["Properties"], "to be in it opens nothing"
    assert network["Outputs"]["CellSecurityGroupId"]["Value"] == {"Ref": "CellSecurityGroup"}


@pytest.mark.parametrize("rule", [
    {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "CidrIp": "0.0.0.0/0"},
    {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "CidrIpv6": "::/0"},
    {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "CidrIp": "10.80.0.0/20"},
    {"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5300, "SourceSecurityGroupId": "sg-00000000"},
    {"IpProtocol": "-1", "SourceSecurityGroupId": GROUP},
], ids=lambda rule: "-".join(map(str, rule.values())))
@pytest.mark.parametrize("own", [False, True])
def test_a_rule_that_lets_others_in_is_seen(parts, rule, own):
    balancer = copy.deepcopy(parts["template-balancer"][1])
    if own:
        balancer["Resources"]["Odd"] = {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": rule | {"GroupId": "x"}}
    else:
        balancer["Resources"]["XmppSecurityGroup"]["Properties"]["SecurityGroupIngress"].append(rule)
    assert who_reaches_it(balancer) == [OTHER_CELLS, rule]


def test_the_balancer_leads_clients_nowhere_near_it(parts):
    for plain_or_full in parts["template-balancer"]:
        assert {one["Port"] for one in of_type(plain_or_full, "AWS::ElasticLoadBalancingV2::TargetGroup").values()} == {5280}
        assert PORT not in {one["Port"] for one in of_type(plain_or_full, "AWS::ElasticLoadBalancingV2::Listener").values()}


def test_the_key_is_the_servers_to_read_and_nobody_elses(parts):
    template = parts["template-xmpp"][1]
    assert where_the_key_is(template) == []
    [writer] = [one for one in containers(template) if not one["Essential"]]
    assert {one["Name"]: one["ValueFrom"] for one in writer["Secrets"]} == {
        f"CELL_{name.upper()}": f"{FULL['CellSecretArn']}:{name}::" for name in ("certificate", "key", "authority")}
    assert container(template)["DependsOn"] == [{"ContainerName": writer["Name"], "Condition": "SUCCESS"}]
    assert writer["Image"] == container(template)["Image"]
    # The program is in the image, and the folder the user's: a volume on Fargate is root's unless the image says otherwise.
    said = image.parse((ROOT / "images/xmpp-server/Dockerfile").read_text())
    program, folder = writer["EntryPoint"]
    assert ["images/cell-files", program] in [one.words for one in said if one.name == "COPY"]
    assert any(one.name == "RUN" and one.rest == f"install -d -o 65532 -g 65532 -m 700 {folder}" for one in said)
    assert [folder] == [mount["ContainerPath"] for mount in writer["MountPoints"]]


def _as_a_variable(template: dict) -> None:
    container(template)["Secrets"].append({"Name": "SIPPO_XMPP_CELL_KEY", "ValueFrom": f"{FULL['CellSecretArn']}:key::"})


def _writable(template: dict) -> None:
    [mount] = [one for one in container(template)["MountPoints"] if one["SourceVolume"] == "cell"]
    del mount["ReadOnly"]


def _in_the_definition(template: dict) -> None:
    container(template)["Environment"].append({"Name": "CELL_KEY", "Value": PEM["CELL_KEY"]})


def _by_root(template: dict) -> None:
    next(one for one in containers(template) if not one["Essential"])["User"] = "0:0"


def _kept(template: dict) -> None:
    [task] = of_type(template, "AWS::ECS::TaskDefinition").values()
    [volume] = [one for one in task["Volumes"] if one["Name"] == "cell"]
    volume["EFSVolumeConfiguration"] = task["Volumes"][0]["EFSVolumeConfiguration"]


@pytest.mark.parametrize("fault", [_as_a_variable, _writable, _in_the_definition, _by_root, _kept])
def test_a_key_that_is_somewhere_else_is_seen(parts, fault: Callable[[dict], None]):
    template = copy.deepcopy(parts["template-xmpp"][1])
    fault(template)
    assert len(where_the_key_is(template)) == 1


def write(folder: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in (PEM | changes).items() if value is not None}
    return subprocess.run([CELL_FILES, folder], env={"PATH": os.environ["PATH"], **given}, capture_output=True, text=True, umask=0)


def test_files_of_a_cell_are_for_its_user_alone(parts, tmp_path):
    (tmp_path / "key.pem").write_text("of before, and everybody's")
    (tmp_path / "key.pem").chmod(0o644)
    (tmp_path / "certificate.pem.new").write_text("of a task that was killed")
    done = write(tmp_path, CELL_CERTIFICATE=PEM["CELL_CERTIFICATE"].rstrip())
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    names = {name: f"{name.removeprefix('CELL_').lower()}.pem" for name in PEM}
    assert {file.name for file in tmp_path.iterdir()} == {*names.values()}
    for name, file in names.items():
        assert (tmp_path / file).read_text() == PEM[name]
        assert stat.S_IMODE((tmp_path / file).stat().st_mode) == 0o600, "whatever the umask"
    # They are where the server is told to look.
    told = {one["Name"]: one["Value"] for one in container(parts["template-xmpp"][1])["Environment"]}
    assert {told[f"SIPPO_XMPP_{name}"] for name in PEM} == {f"/cell/{file}" for file in names.values()}


@pytest.mark.parametrize(("name", "value"), [
    ("CELL_KEY", None), ("CELL_KEY", ""), ("CELL_KEY", PEM["CELL_CERTIFICATE"]), ("CELL_CERTIFICATE", PEM["CELL_KEY"]),
    ("CELL_AUTHORITY", "arn:aws:…")])
def test_what_is_no_key_or_certificate_stops_the_task_and_is_not_shown(name, value, tmp_path):
    done = write(tmp_path, **{name: value})
    assert done.returncode != 0
    assert f'{name} has no PEM of that kind: correct "{name.removeprefix("CELL_").lower()}" of the cell\'s secret' in done.stderr
    assert "YQ==" not in done.stderr and "Yg==" not in done.stderr
    assert not (tmp_path / f"{name.removeprefix('CELL_').lower()}.pem").exists()


def test_with_one_server_nothing_of_cells_is_made(parts, folder):
    assert not of_type(parts["template-network"][0], "AWS::EC2::SecurityGroup").keys() - {
        "ClientSecurityGroup", "EndpointSecurityGroup", "CellSecurityGroup"}
    assert parts["template-network"][0]["Resources"]["CellSecurityGroup"]["Condition"] == "HasCells"
    plain = parts["template-xmpp"][0]
    assert len(containers(plain)) == 1 and "DependsOn" not in container(plain)
    assert [port["ContainerPort"] for port in container(plain)["PortMappings"]] == [5280]
    assert "CELL" not in json.dumps(container(plain)) and '"cell"' not in json.dumps(of_type(plain, "AWS::ECS::TaskDefinition"))
    # What is left of a cell's parameters when its name is gone makes nothing either.
    left = {name: FULL[name] for name in ("Cells", "CellSecretArn")}
    one = expand(folder / "no-cell", "template-all", ALL | left)["Resources"]
    given = one["Xmpp"]["Properties"]["Parameters"]
    assert given["Cell"] == given["CellSecretArn"] == given["CellSecurityGroupId"] == ""
    assert one["Balancer"]["Properties"]["Parameters"]["CellSecurityGroupId"] == ""
    assert one["Network"]["Properties"]["Parameters"]["HasCells"] == "false"


@pytest.mark.parametrize("name", ["template-all", "template-cell"])
def test_a_cell_is_told_of_all_and_they_find_each_other(parts, name):
    plain, full = (one["Resources"] for one in parts[name])
    given = full["Xmpp"]["Properties"]["Parameters"]
    assert {key: given[key] for key in ("Cell", "Cells", "CellSecretArn")} == {
        key: FULL[key] for key in ("Cell", "Cells", "CellSecretArn")}
    assert given["CellSecurityGroupId"] == full["Balancer"]["Properties"]["Parameters"]["CellSecurityGroupId"] != ""
    assert plain["Xmpp"]["Properties"]["Parameters"]["Cell"] == ""
    told = {one["Name"]: one.get("Value") for one in container(parts["template-xmpp"][1])["Environment"]}
    assert told["SIPPO_XMPP_CELL"] == FULL["Cell"] and told["SIPPO_XMPP_CELLS"] == FULL["Cells"]
    # The address is the task's name in the network's DNS, at the port that the server listens on by default.
    assert parts["template-xmpp"][1]["Outputs"]["CellAddress"]["Value"] == f"xmpp.{FULL['Namespace']}:{PORT}"
    assert f'number("CELL_PORT", {PORT},' in (ROOT / "xmpp-server" / "prosody.cfg.lua").read_text()
    [record] = of_type(parts["template-xmpp"][1], "AWS::ServiceDiscovery::Service").values()
    assert record["Name"] == "xmpp" and record["DnsConfig"]["DnsRecords"][0]["Type"] == "A"
    needed = {one["Assert"]["Fn::Not"][0]["Fn::Equals"][0]["Ref"] for one in parts[name][1]["Rules"]["Cell"]["Assertions"]}
    assert needed == {"Cells", "CellSecretArn", *(["CellSecurityGroupId"] if name == "template-cell" else [])}


# What DEPLOY has operators type -----------------------------------------------------------

CHAPTER = (ROOT / "docs" / "DEPLOY.md").read_text().partition("### Cells that speak with each other")[2]
[_BLOCK] = re.findall(r"^ *```sh\n( *mkdir.*?)^ *```$", CHAPTER, re.MULTILINE | re.DOTALL)
SCRIPT = textwrap.dedent(_BLOCK)
FUNCTIONS = "aws() { echo \"$*\" >> aws.log; }\n" + SCRIPT.partition("\nfound\n")[0] + "\n"


def typed(folder: Path, script: str) -> None:
    """What comes of a script in `folder`, which is beside the one of the cells."""
    done = subprocess.run(["bash", "-euc", FUNCTIONS + script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """The folder that the first block of DEPLOY's chapter leaves, without what it says to AWS."""
    sources = tmp_path / "sources"
    sources.mkdir()
    typed(sources, "found\n" + SCRIPT.partition("\nfound\n")[2])
    return tmp_path / "cells"


def files_of(cells: Path, cell: str, folder: Path) -> Path:
    """What ECS and cell-files make of a cell's secret."""
    folder.mkdir()
    secret = json.loads((cells / f"{cell}.json").read_text())
    assert secret.keys() == {"certificate", "key", "authority"}
    assert write(folder, **{f"CELL_{name.upper()}": value for name, value in secret.items()}).returncode == 0
    return folder


def shaken_hands(server: Path, client: Path, name: str) -> bool:
    """Whether two cells, each with its files, accept each other; `name` is the one that the server has to have."""
    def context(files: Path, side: int) -> ssl.SSLContext:
        made = ssl.SSLContext(side)
        made.load_cert_chain(files / "certificate.pem", files / "key.pem")
        made.load_verify_locations(files / "authority.pem")
        made.verify_mode = ssl.CERT_REQUIRED
        return made
    one, other = socket.socketpair()
    one.settimeout(30)
    other.settimeout(30)
    answers: list[bytes] = []

    def serve() -> None:
        with one:
            try:
                with context(server, ssl.PROTOCOL_TLS_SERVER).wrap_socket(one, server_side=True) as stream:
                    answers.append(stream.recv(1))
            except (ssl.SSLError, OSError):
                answers.append(b"")
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with other, context(client, ssl.PROTOCOL_TLS_CLIENT).wrap_socket(other, server_hostname=name) as stream:
            stream.sendall(b"x")
    except (ssl.SSLError, OSError):
        return False
    finally:
        thread.join()
    return answers == [b"x"]


def test_what_deploy_says_makes_cells_that_know_each_other(deployed, tmp_path):
    one, two = (files_of(deployed, cell, tmp_path / cell) for cell in ("eu-1", "eu-2"))
    assert shaken_hands(one, two, host_of("eu-1")) and shaken_hands(two, one, host_of("eu-2"))
    assert not shaken_hands(one, two, host_of("eu-2")), "each is itself alone"
    assert not shaken_hands(one, two, "chat.example.com")
    for file in deployed.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file.name
    told = (deployed / "aws.log").read_text()
    assert [f"--name {KEY}{cell} --secret-string file://{cell}.json" in told for cell in ("eu-1", "eu-2")] == [True, True]


def test_who_has_a_certificate_of_a_cell_makes_none_of_it(deployed, tmp_path):
    """A cell's key signs nothing that others take."""
    one = files_of(deployed, "eu-1", tmp_path / "eu-1")
    odd = tmp_path / "odd"
    odd.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=eu-2",
                    "-CA", one / "certificate.pem", "-CAkey", one / "key.pem", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-addext", f"subjectAltName=DNS:{host_of('eu-2')}", "-keyout", odd / "key.pem", "-out", odd / "leaf.pem"],
                   check=True, capture_output=True)
    (odd / "certificate.pem").write_text((odd / "leaf.pem").read_text() + (one / "certificate.pem").read_text())
    (odd / "authority.pem").write_text((one / "authority.pem").read_text())
    assert not shaken_hands(odd, one, host_of("eu-2")) and not shaken_hands(one, odd, host_of("eu-1"))


def steps(deployed: Path, tmp_path: Path, *scripts: str) -> list[dict[str, Path]]:
    """The files of both cells as deployed, and after each of these scripts, which are typed for both where `$cell` is said."""
    found = [{cell: files_of(deployed, cell, tmp_path / f"0-{cell}") for cell in ("eu-1", "eu-2")}]
    for number, script in enumerate(scripts, 1):
        typed(tmp_path / "sources", script)
        found.append({cell: files_of(deployed, cell, tmp_path / f"{number}-{cell}") for cell in ("eu-1", "eu-2")})
    return found


def said(pattern: str) -> str:
    """A command of DEPLOY's chapter."""
    [found] = re.findall(pattern, re.sub(r"\n +", " ", CHAPTER))
    return found


def test_a_renewed_certificate_is_known_beside_those_of_before(deployed, tmp_path):
    command = re.search(r"^certify eu-1 && bundle eu-1$", CHAPTER, re.MULTILINE)
    before, after = steps(deployed, tmp_path, command[0])
    assert (after["eu-1"] / "certificate.pem").read_text() != (before["eu-1"] / "certificate.pem").read_text()
    assert shaken_hands(after["eu-1"], before["eu-2"], host_of("eu-1"))
    assert shaken_hands(before["eu-2"], after["eu-1"], host_of("eu-2"))


def test_while_the_authority_is_renewed_cells_know_each_other_at_each_step(deployed, tmp_path):
    both, last = said(r"`(mv authority\.pem [^`]+)`"), said(r"3\. `(cp authority\.pem trusted\.pem)`")
    each = "for cell in eu-1 eu-2; do {}; done"
    states = steps(deployed, tmp_path, f"{both}; {each.format('bundle $cell')}", each.format("certify $cell; bundle $cell"),
                   f"{last}; {each.format('bundle $cell')}")
    for before, after in zip(states, states[1:]):
        for one, two in ((before, after), (after, before), (after, after)):
            assert shaken_hands(one["eu-1"], two["eu-2"], host_of("eu-1"))
    assert not shaken_hands(states[0]["eu-1"], states[3]["eu-2"], host_of("eu-1")), "the old one does not count any more"


def test_after_a_leak_the_old_authority_counts_nowhere(deployed, tmp_path):
    again = said(r"`(found; cp authority\.pem trusted\.pem)`")
    before, after = steps(deployed, tmp_path, f"{again}; for cell in eu-1 eu-2; do certify $cell; bundle $cell; done")
    assert shaken_hands(after["eu-1"], after["eu-2"], host_of("eu-1"))
    assert not shaken_hands(after["eu-1"], before["eu-2"], host_of("eu-1"))
    assert not shaken_hands(before["eu-1"], after["eu-2"], host_of("eu-1"))
