"""Several XMPP servers as cells: the functions' configuration that names them, and which tenant is on which."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

from stack import aws, ledger_view
from stack.authority import Authority
from stack.ledger_view import DOMAIN, PLACE
from stack.paths import ROOT, write_private
from stack.ports import free_port
from stack.prosody import Settings
from stack.stack_env import port_of

VARIABLE = "CELLS"
"""Of stack.env, where there are several: by the cell's name, its URLs."""


def host_of(cell: str) -> str:
    """The host by which a cell speaks for itself, which its certificate names."""
    return f"{cell}.sippo-cells.internal"


def linked(servers: dict[str, Settings], authority: Authority) -> dict[str, Settings]:
    """The same servers, by their cells' names, which can speak with each other."""
    ports = {name: free_port() for name in servers}
    addresses = ",".join(f"{name}=127.0.0.1:{port}" for name, port in ports.items())

    def with_cell(name: str, server: Settings) -> Settings:
        certificate, key = authority.issue(host_of(name))
        own = {"CELL": name, "CELLS": addresses, "CELL_PORT": str(ports[name]), "CELL_CERTIFICATE": str(certificate),
               "CELL_KEY": str(key), "CELL_AUTHORITY": str(authority.root)}
        return replace(server, extra=server.extra | own)
    return {name: with_cell(name, server) for name, server in servers.items()}


def configuration(folder: Path, servers: dict[str, Settings]) -> dict[str, str]:
    """Writes the repository's configuration with `servers` as its cells into `folder`; the variable that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wac.ini").write_bytes((ROOT / "config" / "wac.ini").read_bytes())
    write_private(folder / "xmpp.toml", "\n".join(_section(name, server) for name, server in servers.items()))
    return {"CONFIG_DIR": str(folder.resolve())}


def _section(name: str, server: Settings) -> str:
    keys = {"name": name, "xmppUrl": server.ws_url, "hostsAdminUrl": server.hosts_url, "adminToken": server.admin_token}
    return "".join(["[[cells]]\n", *(f'{key} = "{value}"\n' for key, value in keys.items())])


def variables(servers: dict[str, Settings]) -> dict[str, str]:
    """What stack.env says of them."""
    urls = {name: {"XMPP_URL": server.ws_url, "HOSTS_ADMIN_URL": server.hosts_url} for name, server in servers.items()}
    return {VARIABLE: json.dumps(urls)}


def all_of(env: dict[str, str]) -> dict[str, dict[str, str]]:
    """The stack's environment as each of its XMPP servers has it, by the name of its process."""
    urls = json.loads(env[VARIABLE]) if VARIABLE in env else {"prosody": {}}
    return {name: env | own for name, own in urls.items()}


def at(env: dict[str, str], domain: str) -> dict[str, str]:
    """The stack's environment with the XMPP server that a tenant is on: the first where it is on none, or there is only one."""
    everywhere = all_of(env)
    cell = place(env, domain) if len(everywhere) > 1 else None
    return everywhere.get(cell or "", next(iter(everywhere.values())))


def place(env: dict[str, str], domain: str) -> str | None:
    """The cell that a tenant is on; None where it is on none."""
    items = ledger_view.read(port_of(env["AWS_ENDPOINT_URL"]), env["LEDGER_TABLE"], f"{DOMAIN}{domain}")
    return next((item["cell"] for item in items if item["sk"] == PLACE), None)


def places(env: dict[str, str]) -> dict[str, str | None]:
    """Each tenant on record, and the cell that it is on."""
    found: dict[str, str | None] = {}
    for item in ledger_view.read(port_of(env["AWS_ENDPOINT_URL"]), env["LEDGER_TABLE"]):
        if item["pk"].startswith(DOMAIN):
            domain = item["pk"].removeprefix(DOMAIN)
            found[domain] = item["cell"] if item["sk"] == PLACE else found.get(domain)
    return found


def put(env: dict[str, str], domain: str, cell: str) -> str | None:
    """Places a tenant unless it has a place; where it is then."""
    item = {"pk": {"S": f"{DOMAIN}{domain}"}, "sk": {"S": PLACE}, "cell": {"S": cell}}
    with contextlib.suppress(aws.AwsError):  # it has one
        aws.call(port_of(env["AWS_ENDPOINT_URL"]), "dynamodb", "PutItem", TableName=env["LEDGER_TABLE"], Item=item,
                 ConditionExpression="attribute_not_exists(pk)")
    return place(env, domain)
