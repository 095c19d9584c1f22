"""Uploads (XEP-0363) as clients make them: a slot by XMPP, then PUT and GET by HTTP."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from support.xmpp import Client, E, Element

UPLOAD = "urn:xmpp:http:upload:0"


@dataclass
class Slot:
    """Where a file goes and where it is fetched."""

    put: str
    headers: dict[str, str]
    get: str

    def upload(self, content: bytes) -> httpx.Response:
        """Sends the file."""
        return httpx.put(self.put, content=content, headers=self.headers, trust_env=False, timeout=60)

    def fetch(self, method: str = "GET", **headers: str) -> httpx.Response:
        """Asks for the file; an underscore in a header's name stands for a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(method, self.get, headers=named, trust_env=False, timeout=60)


def request_slot(client: Client, *, to: str | None = None, check: bool = True, **attributes: str) -> Element:
    """Asks for a slot with these attributes (`content_type` for `content-type`); the answer."""
    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    return client.iq("get", E("request", UPLOAD, **named), to=to or client.domain, check=check)


def new_slot(client: Client, size: int, filename: str = "note.bin", **attributes: str) -> Slot:
    """A slot for `size` bytes."""
    reply = request_slot(client, filename=filename, size=str(size), **attributes)
    put = reply.find(f".//{{{UPLOAD}}}put")
    headers = {h.get("name"): h.text for h in put.iter(f"{{{UPLOAD}}}header")}
    return Slot(put.get("url"), headers, reply.find(f".//{{{UPLOAD}}}get").get("url"))
