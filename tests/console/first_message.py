#!/usr/bin/env python3
"""Measures how long it takes in the console, from opening its address until a first message between two users is seen.

    scripts/run                                                  in another terminal, until it says ready
    target/venv/bin/python tests/console/first_message.py
"""

import argparse
import sys
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from console_page import ConsolePage  # noqa: E402
from stack.paths import LOCAL  # noqa: E402
from stack.stack_env import settings  # noqa: E402
from support.devtools import Browser  # noqa: E402


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=LOCAL, metavar="FOLDER", help="of scripts/run")
    env = settings(parser.parse_args().state, "first_message")
    alice, bob = (f"{name}-{uuid.uuid4().hex[:6]}@{env['XMPP_DOMAIN']}" for name in ("alice", "bob"))
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        began = time.monotonic()

        def tell(what: str) -> None:
            print(f"{time.monotonic() - began:6.2f} s  {what}", flush=True)

        page = ConsolePage(browser, env["CONSOLE_URL"], "chat")
        tell("the page is there")
        page.log_in(1, alice)
        page.log_in(2, bob)
        tell("two users are online")
        page.talk_to(1, bob)
        page.say(1, "Hello")
        page.click(alice.split("@")[0], '[data-seat="2"]')
        page.wait_text('[data-seat="2"] .said-body', "Hello")
        tell("a message between them is seen")


if __name__ == "__main__":
    main()
