"""A client's connection that keeps every frame it receives, as it is."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import xml.etree.ElementTree as ET
from collections import deque

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from support.xmpp import FRAMING, STREAMS, Client, Closed, StreamError, XmppError, local

logging.getLogger("websockets").setLevel(logging.CRITICAL + 1)  # it complains of connections that are cut while it reads

SEND_TIMEOUT = 120
"""Seconds after which a server that does not read is taken for dead."""

KEEPALIVE_TIMEOUT = 1011
"""The code with which the library itself ends a connection whose pings are not answered in time, on a busy machine."""


class Wire(Client):
    """The project's client up to its resource; from then on it only collects frames. Without a stream: from the beginning."""

    news = threading.Event()
    """Something has come on any of them."""

    def __init__(self, *arguments: object, has_stream: bool = True, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._has_stream = has_stream
        self.frames: deque[str] = deque()
        self.collecting = not has_stream
        """Whether frames are kept only, not waited for."""
        self.close_code: int | None = None
        """Of the WebSocket's close frame that came."""
        self.was_reset = False
        """Whether TCP has ended it, as it does when the server closes it with something unread: what it has said last is lost."""

    def open(self) -> Wire:
        """As a client; one that the server does not read from gives up some time."""
        super().open()
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT, 0))
        return self

    def _open_stream(self) -> None:
        if self._has_stream:
            super()._open_stream()

    @property
    def raw(self) -> socket.socket:
        assert self._socket is not None
        return self._socket.socket

    def _read(self, connection: ClientConnection) -> None:
        end: XmppError = Closed("connection-closed")
        try:
            for frame in connection:
                text = frame if isinstance(frame, str) else frame.decode(errors="replace")
                self.frames.append(text)
                self.news.set()
                if not self.collecting or "streams" in text or FRAMING in text:
                    end, over = self._take(text, end)
                    if over:
                        break
            self.close_code = connection.close_code
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else None
            timed_out = closed.sent is not None and closed.sent.code == KEEPALIVE_TIMEOUT
            self.was_reset = timed_out or isinstance(closed.__cause__, (OSError, EOFError))
        except (OSError, ET.ParseError):
            pass
        finally:
            with self._changed:
                self._end = end
                self._changed.notify_all()
            self.news.set()
            connection.close()

    def _take(self, text: str, end: XmppError) -> tuple[XmppError, bool]:
        """What the end will be called by now, and whether it is there."""
        element = ET.fromstring(text)
        if element.tag == f"{{{STREAMS}}}error":
            end = StreamError(next((local(child) for child in element if local(child) != "text"), "undefined-condition"))
        elif element.tag == f"{{{FRAMING}}}close":
            return Closed("stream-closed") if isinstance(end, Closed) else end, True
        elif not self.collecting:
            with self._changed:
                self._received.append(element)
                self._changed.notify_all()
        return end, False

    def collect(self) -> None:
        """From now on frames are kept only."""
        self.collecting = True
        with self._changed:
            self._received.clear()

    def half_close(self) -> None:
        """Sends no more, and waits until the server has ended the connection."""
        try:
            self.raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is down already
        self.wait_closed(60)
