"""A tenant's move by the hosts API's own resources, step by step (xmpp-server/README.md): what the service's mover does, in Python."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import httpx

from support.prosody import Server
from support.wait import until

END = "end"
_numbers = itertools.count(1)


class Refused(Exception):
    """The server answered that it does not."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.status_code} {answer.text}")
        self.status = answer.status_code


class Move:
    """One move of a domain between two servers."""

    def __init__(self, domain: str, source: Server, target: Server, number: int | None = None) -> None:
        self.domain, self.source, self.target = domain, source, target
        self.number = number or next(_numbers)

    def call(self, server: Server, method: str, what: str = "", **request: Any) -> httpx.Response:
        """An answer that is no refusal."""
        url = server.hosts_url.rpartition("/")[0] + f"/move/{self.domain}{what}"
        answer = httpx.request(method, url, headers={"Authorization": f"Bearer {server.admin_token}"}, trust_env=False, timeout=60, **request)
        if answer.is_error:
            raise Refused(answer)
        return answer

    def state(self, server: Server) -> dict[str, Any]:
        """How it is with the domain there."""
        return self.call(server, "GET").json()

    def bring(self, server: Server, state: str, **more: Any) -> None:
        """Brings it into a state, however long that takes."""
        body = {"move": self.number, "state": state, **more}
        until(lambda: self.call(server, "PUT", json=body).status_code == 200, f"{state} of {self.domain}", 60)

    def freeze(self) -> None:
        self.bring(self.source, "frozen")

    def expect(self) -> None:
        self.bring(self.target, "incoming", entry=self.state(self.source)["entry"])

    def page(self, after: str, rows: int = 200) -> bytes:
        """What the source has behind a cursor."""
        return self.call(self.source, "GET", "/page", params={"after": after, "rows": rows}).content

    def put(self, page: bytes) -> str:
        """Writes a page; the cursor afterwards."""
        return self.call(self.target, "POST", "/page", params={"move": self.number}, content=page).json()["cursor"]

    def copy(self, rows: int = 200) -> None:
        """All pages that are left."""
        while (cursor := self.state(self.target)["cursor"]) != END:
            self.put(self.page(cursor, rows))

    def count(self, server: Server, rows: int = 200) -> dict[str, Any]:
        """All that the domain has there."""
        after, sums, digest = "", Counter[str](), [0, 0]
        while after != END:
            found = self.call(server, "GET", "/count", params={"after": after, "rows": rows}).json()
            after = found.pop("next")
            both = found.pop("digest")
            digest = [(one + int(half, 16)) % 2**64 for one, half in zip(digest, (both[:16], both[16:]), strict=True)]
            sums.update(found)
        return {**{name: sums[name] for name in ("rows", "messages", "files", "bytes")}, "digest": tuple(digest)}

    def open(self) -> None:
        self.bring(self.target, "opened")

    def leave(self) -> None:
        self.bring(self.source, "moved", uploads=self.state(self.target)["uploads"])

    def run(self) -> dict[str, Any]:
        """All of it; what was counted at both ends."""
        self.freeze()
        self.expect()
        self.copy()
        counts = self.count(self.source)
        assert self.count(self.target, rows=77) == counts
        self.open()
        self.leave()
        return counts
