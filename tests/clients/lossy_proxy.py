"""A TCP proxy before the XMPP server that cuts connections at any byte, as a lost network does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class LossyProxy:
    """Passes on what comes to `port`; all connections can be cut."""

    def __init__(self, port: int, upstream: int) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._budget: int | None = None
        self._is_refusing = False
        self._frozen: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cuts all connections now."""
        with self._lock:
            sockets, self._open, self._budget = self._open, [], None
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Passes nothing on any more on the connections that there are, and closes none, as a network that is gone."""
        with self._lock:
            self._frozen.update(self._open)

    def cut_after(self, count: int) -> None:
        """Passes `count` more bytes from clients, then cuts all connections, once."""
        with self._lock:
            self._budget = count

    @property
    def waits_to_cut(self) -> bool:
        """Whether there is a cut to come."""
        return self._budget is not None

    def stop(self) -> None:
        """Ends it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), timeout=10)
            except OSError:
                client.close()  # the server is down: the client tries again
                continue
            server.settimeout(None)
            with self._lock:
                self._open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if source in self._frozen:
                    continue
                rest = self._count(len(data)) if is_client else len(data)
                target.sendall(data[:rest])
                if rest < len(data):
                    self.cut()
                    break
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _count(self, size: int) -> int:
        """How many of so many bytes may pass."""
        with self._lock:
            if self._budget is None:
                return size
            if size <= self._budget:
                self._budget -= size
                return size
            return self._budget

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Lets no new connection through meanwhile."""
        self._is_refusing = True
        try:
            yield
        finally:
            self._is_refusing = False
