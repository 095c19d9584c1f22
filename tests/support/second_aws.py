"""Another implementation of SQS and DynamoDB: fauxqs and dynalite, on Node. For `pytest --aws second`."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from stack import bootstrap, fake_aws
from stack.paths import ROOT

SOURCE = ROOT / "tests" / "second_aws"
FOLDER = ROOT / "target" / "second-aws"


def install() -> None:
    """Installs what SOURCE pins, unless it is there. OSError: it cannot be had; the message says why."""
    if fault := bootstrap.node_fault():
        raise OSError(fault)
    wanted, stamp = (SOURCE / "package-lock.json").read_text(), FOLDER / "installed"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in SOURCE.iterdir():
        (FOLDER / file.name).write_text(file.read_text())
    if stamp.exists() and stamp.read_text() == wanted:
        return
    try:
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, capture_output=True,
                              text=True, timeout=300)
    except FileNotFoundError as error:
        raise OSError("npm is missing; install Debian's package npm") from error
    if done.returncode != 0:
        raise OSError(f"npm could not install fauxqs and dynalite; see that Node 20 and npm work:\n{done.stderr[-2000:]}")
    stamp.write_text(wanted)


def use() -> None:
    """Has every fake AWS that this program starts from now on be this one."""
    install()
    fake_aws.program = lambda settings: ["node", str(FOLDER / "server.mjs"), str(settings.port), fake_aws.HEALTH_PATH]


@contextlib.contextmanager
def used() -> Iterator[None]:
    """Meanwhile every fake AWS that is started is this one."""
    before = fake_aws.program
    use()
    try:
        yield
    finally:
        fake_aws.program = before
