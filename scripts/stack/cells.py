"""Several XMPP servers as cells: the functions' configuration that names them, and which tenant is on which."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stack import aws, ledger_view
from stack.authority import Authority
from stack.event_types import CELLS
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


@dataclass(frozen=True)
class Place:
    """Where a tenant is."""

    cell: str
    step: str | None = None
    """What its move has come to, if it moves."""
    other: str | None = None
    """The other cell of the move."""

    def __str__(self) -> str:
        return self.cell if self.step is None else f"{self.cell}: its move is {self.step} (the other cell is {self.other})"


def _place(item: dict[str, str]) -> Place:
    return Place(item["cell"], item.get("move_step"), item.get("move_other"))


def place_of(env: dict[str, str], domain: str) -> Place | None:
    """Where a tenant is; None where it is on no cell."""
    items = ledger_view.read(port_of(env["AWS_ENDPOINT_URL"]), env["LEDGER_TABLE"], f"{DOMAIN}{domain}")
    return next((_place(item) for item in items if item["sk"] == PLACE), None)


def place(env: dict[str, str], domain: str) -> str | None:
    """The cell that a tenant is on; None where it is on none."""
    found = place_of(env, domain)
    return found.cell if found else None


def places(env: dict[str, str]) -> dict[str, str | None]:
    """Each tenant on record, and the cell that it is on."""
    return {domain: found.cell if found else None for domain, found in places_and_moves(env).items()}


def places_and_moves(env: dict[str, str]) -> dict[str, Place | None]:
    """Each tenant on record, and where it is."""
    found: dict[str, Place | None] = {}
    for item in ledger_view.read(port_of(env["AWS_ENDPOINT_URL"]), env["LEDGER_TABLE"]):
        if item["pk"].startswith(DOMAIN):
            domain = item["pk"].removeprefix(DOMAIN)
            found[domain] = _place(item) if item["sk"] == PLACE else found.get(domain)
    return found


def records(env: dict[str, str]) -> dict[str, str]:
    """What an operator has said of cells: open, closed or draining."""
    items = ledger_view.read(port_of(env["AWS_ENDPOINT_URL"]), env["LEDGER_TABLE"], "cells")
    return {item["sk"]: item["said"] for item in items if "said" in item}


def put(env: dict[str, str], domain: str, cell: str) -> str | None:
    """Places a tenant unless it has a place; where it is then."""
    item = {"pk": {"S": f"{DOMAIN}{domain}"}, "sk": {"S": PLACE}, "cell": {"S": cell}}
    with contextlib.suppress(aws.AwsError):  # it has one
        aws.call(port_of(env["AWS_ENDPOINT_URL"]), "dynamodb", "PutItem", TableName=env["LEDGER_TABLE"], Item=item,
                 ConditionExpression="attribute_not_exists(pk)")
    return place(env, domain)


class Refused(Exception):  # noqa: N818
    """The function says that it cannot be."""


class Crashed(Refused):
    """The function ended in the midst of it."""


def invoke(env: dict[str, str], order: dict[str, Any]) -> dict[str, Any]:
    """What the function for operators answers to an order. Refused, OSError or HTTPException if it answers none."""
    connection = http.client.HTTPConnection("127.0.0.1", int(env["INVOKE_PORT"]), timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", f"/2015-03-31/functions/{CELLS}/invocations", json.dumps(order), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    if answer.status != http.HTTPStatus.OK or answer.getheader("x-amz-function-error"):
        try:
            said = json.loads(text)
            kind, text = said["errorType"], said["errorMessage"]
        except (ValueError, KeyError, TypeError):
            kind, text = "", f"{answer.status} {text}"
        raise (Crashed if kind.startswith(("Runtime.", "Sandbox.")) else Refused)(text)
    found: dict[str, Any] = json.loads(text)
    return found
