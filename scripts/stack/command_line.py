"""What the scripts share: how they end, how they tell an error, and how they show that they are at it."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO

CLEAR = "\r\033[K"
NOTHING_DONE = 3
"""Exit status: it was asked to do something to what is there, and there was nothing."""


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Ends the program with the status of `main`. Whoever reads its output may stop before the end, as `head` does."""
    try:
        _refuse_what_is_not_utf8(sys.argv)
        status = main()
    except SystemExit as end:  # argparse's, or one with a message
        status = end.code
    except BrokenPipeError:
        status = 0
    except KeyboardInterrupt:
        status = 128 + 2
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left goes nowhere; Python's own flush at the end would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _refuse_what_is_not_utf8(arguments: list[str]) -> None:
    """Nothing on the stack has such a name, and no log or request could hold it. Files have."""
    for argument in arguments[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            if not any(os.path.lexists(path) for path in (argument, argument.partition("=")[2])):
                shown = argument.encode(errors="backslashreplace").decode()
                name = os.path.basename(arguments[0])
                print(f"{name}: the argument {shown} is not UTF-8; write it in UTF-8, or name a file that is there", file=sys.stderr)
                sys.exit(2)


def named(argument: str) -> str:
    """The type of arguments that name one thing: nobody means everything by nothing."""
    if not argument.strip():
        raise argparse.ArgumentTypeError("it is empty; write which one you mean")
    return argument


class Told(Exception):
    """An error in words: `what` failed, and what to do about it."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what = what


def in_words(error: BaseException) -> str:
    """An error without numbers and class names: its own message if that is for people, or what the system says of it."""
    if isinstance(error, Told):
        return str(error)
    innermost = _system_error(error)
    if innermost is not None and innermost.strerror:
        if isinstance(innermost, ConnectionError) and innermost.errno:
            return os.strerror(innermost.errno)  # asyncio puts the address in the place of what the system says
        about = f": {innermost.filename}" if innermost.filename else ""
        return innermost.strerror + about
    return str(error) or type(error).__name__


def _system_error(error: BaseException) -> OSError | None:
    """The system's error within one of a library's."""
    if isinstance(error, OSError) and error.strerror:
        return error
    inner = [*error.args, *getattr(error, "exceptions", ()), getattr(error, "exception", None), error.__cause__]
    return next((found for one in inner if isinstance(one, BaseException) and (found := _system_error(one))), None)


class StatusLine:
    """One line at the bottom of a terminal that changes; nothing where there is no terminal. For several threads."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream, self._lock = stream, threading.Lock()
        self._is_shown = False
        self.is_on = stream.isatty() and os.environ.get("TERM") != "dumb"

    def show(self, text: str) -> None:
        """Replaces what it shows."""
        if self.is_on:
            width = shutil.get_terminal_size().columns - 1
            with self._lock:
                self._write(CLEAR + text[:width])
                self._is_shown = True

    def clear(self) -> None:
        """Takes it away, before other lines are printed."""
        with self._lock:
            self._clear()

    def print(self, text: str, to: TextIO) -> None:
        """Prints lines above it. The terminal may be gone; that must not keep anything from being ended."""
        with self._lock, contextlib.suppress(OSError):
            self._clear()
            print(text, file=to, flush=True)

    def _clear(self) -> None:
        if self._is_shown:
            self._write(CLEAR)
            self._is_shown = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


class Progress:
    """Tells in a terminal how much is done, and for how long."""

    PAUSE = 0.2
    """Seconds between two changes of the line."""

    def __init__(self, what: str, total: int | None = None, line: StatusLine | None = None) -> None:
        self._what, self._total, self._line = what, total, line or StatusLine()
        self._began, self._shown, self._done = time.monotonic(), 0.0, 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def update(self, done: int | None = None) -> None:
        """Shows how much is done: one more, if it is not said."""
        self._done = self._done + 1 if done is None else done
        now = time.monotonic()
        if now - self._shown >= self.PAUSE:
            self._shown = now
            count = f" {self._done:,}" + (f" of {self._total:,}" if self._total is not None else "")
            self._line.show(f"{self._what}{count}, {duration(now - self._began)}")

    def clear(self) -> None:
        """Takes the line away, before another one is printed."""
        self._line.clear()


@contextlib.contextmanager
def waiting(what: Callable[[], str], line: StatusLine | None = None) -> Iterator[StatusLine]:
    """Tells in a terminal what is waited for and for how long, while the body runs."""
    line = line or StatusLine()
    over = threading.Event()
    began = time.monotonic()

    def tick() -> None:
        while not over.wait(0.5):
            line.show(f"{what()}, {duration(time.monotonic() - began)}")

    thread = threading.Thread(target=tick, daemon=True)
    if line.is_on:
        thread.start()
    try:
        yield line
    finally:
        over.set()
        if line.is_on:
            thread.join()
        line.clear()


def duration(seconds: float) -> str:
    """A time span for people: its two largest units."""
    for unit, length, smaller, parts in (("d", 86400, "h", 24), ("h", 3600, "min", 60), ("min", 60, "s", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} {int(seconds % length // (length // parts))} {smaller}"
    return f"{seconds:.0f} s"
