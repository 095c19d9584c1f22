"""One RabbitMQ and one fake AWS for all tests; names of its own for each test."""

from __future__ import annotations

import secrets
import urllib.parse
from pathlib import Path

import pytest

from sqs_proxy import Proxy
from stack import fake_aws, rabbitmq
from stack.paths import StackPaths
from stack.ports import free_port
from stack.supervisor import Supervisor
from bridge_env import BridgeEnv
from support.folders import new_folder


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest):
    """A new folder under target/ for this run; it stays when a test has failed."""
    with new_folder("bridge", request.session) as path:
        yield path


@pytest.fixture(scope="session")
def paths(folder: Path) -> StackPaths:
    paths = StackPaths(folder)
    paths.create()
    return paths


@pytest.fixture(scope="session")
def supervisor(paths: StackPaths):
    """Starts again what dies."""
    supervisor = Supervisor(paths)
    yield supervisor
    supervisor.stop()


@pytest.fixture(scope="session")
def broker(paths: StackPaths, supervisor: Supervisor) -> rabbitmq.Settings:
    settings = rabbitmq.Settings(
        paths.rabbitmq_data, free_port(), free_port(), free_port(), secrets.token_hex(24))
    for process in rabbitmq.processes(settings):
        supervisor.start(process)
    return settings


@pytest.fixture(scope="session")
def queues(paths: StackPaths, supervisor: Supervisor) -> fake_aws.Settings:
    settings = fake_aws.Settings(paths.fake_aws_data, free_port())
    supervisor.start(fake_aws.process(settings))
    return settings


@pytest.fixture(scope="session")
def config_dir(folder: Path) -> Path:
    """A configuration that enables the service; the rest comes from the environment."""
    path = folder / "config"
    path.mkdir()
    (path / "wac.ini").write_text("[xmpp]\n\n[log]\nlevel = silly\n")
    (path / "xmpp.toml").write_text(
        '[xmpp]\nxmppUrl = "ws://127.0.0.1:1/"\nhostsAdminUrl = "http://127.0.0.1:1/"\n'
        f'adminToken = "{secrets.token_hex(32)}"\n'
        '[auth]\nissuer = "https://issuer.test/"\naudience = "sippo"\njwksUrl = "file:///nowhere"\n'
        '[log]\nformat = "json"\n')
    return path


@pytest.fixture
def env(broker: rabbitmq.Settings, queues: fake_aws.Settings, config_dir: Path, folder: Path):
    """Queues, table, exchange of the test's own."""
    env = BridgeEnv(broker, queues.port, config_dir, folder, Proxy(queues.port))
    env.prepare()
    yield env
    env.close()


@pytest.fixture
def user(env: BridgeEnv):
    """Makes a user with these rights (configure, write, read); gives the broker's URL for it."""
    made = []

    def make(*rights: str) -> str:
        name, password = f"u{secrets.token_hex(4)}", secrets.token_hex(16)
        env.ctl("add_user", name, password)
        made.append(name)
        env.ctl("set_permissions", "-p", "/", name, *rights)
        parts = urllib.parse.urlsplit(env.amqp_url)
        return f"amqp://{name}:{password}@{parts.hostname}:{parts.port}"

    yield make
    for name in made:
        env.ctl("delete_user", name)
