"""Serves the console of one stack; runs in the foreground and ends on SIGTERM. The run's key comes by the environment."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from stack.console import KEY_VARIABLE  # noqa: E402
from stack.console.server import Server  # noqa: E402
from stack.console.world import World  # noqa: E402
from stack.paths import StackPaths  # noqa: E402


async def run(options: argparse.Namespace, key: str) -> None:
    """Serves until it is told to stop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    world = World(StackPaths(options.state))
    server = await Server(world, options.port, key).start()
    watching = asyncio.create_task(world.watch())
    await stopping.wait()
    watching.cancel()
    server.close()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, metavar="FOLDER", help="of the stack")
    parser.add_argument("--port", type=int, required=True)
    # Not kept where programs that this one starts would find it.
    asyncio.run(run(parser.parse_args(), os.environ.pop(KEY_VARIABLE)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
