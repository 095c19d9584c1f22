"""One HTTP request to a process of the stack, to see whether it serves."""

from __future__ import annotations

import http.client


def get(port: int, path: str, headers: dict[str, str] | None = None, timeout: float = 0.8) -> tuple[int, str] | None:
    """Status and body of `path` on this port of loopback; None when nobody answers in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def status(port: int, path: str, headers: dict[str, str] | None = None, timeout: float = 0.8) -> int | None:
    """The status alone."""
    answer = get(port, path, headers, timeout)
    return answer[0] if answer else None
