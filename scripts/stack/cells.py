"""Several XMPP servers as cells: the functions' configuration that names them."""

from __future__ import annotations

from pathlib import Path

from stack.paths import ROOT, write_private
from stack.prosody import Settings


def configuration(folder: Path, servers: dict[str, Settings]) -> dict[str, str]:
    """Writes the repository's configuration with `servers` as its cells into `folder`; the variable that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wac.ini").write_bytes((ROOT / "config" / "wac.ini").read_bytes())
    write_private(folder / "xmpp.toml", "\n".join(_section(name, server) for name, server in servers.items()))
    return {"CONFIG_DIR": str(folder.resolve())}


def _section(name: str, server: Settings) -> str:
    keys = {"name": name, "xmppUrl": server.ws_url, "hostsAdminUrl": server.hosts_url, "adminToken": server.admin_token}
    return "".join(["[[cells]]\n", *(f'{key} = "{value}"\n' for key, value in keys.items())])
