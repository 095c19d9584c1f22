"""One XMPP server and one set of functions for the REST tests; tests that need others make their own."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path

import pytest

from support.access_tokens import AUDIENCE, ISSUER, Key, claims, write_jwks
from support.functions import Functions
from support.issuer_double import Authority
from support.prosody import Server

DOMAIN, OTHER_DOMAIN = "example.test", "other.test"
_counter = itertools.count(1)


@pytest.fixture(scope="session")
def server(folder: Path):
    """An XMPP server with two tenants."""
    server = Server(folder / "prosody").start()
    server.create_host(DOMAIN)
    server.create_host(OTHER_DOMAIN)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def keys() -> dict[str, Key]:
    """The issuer's keys, by algorithm."""
    return {algorithm: Key(algorithm) for algorithm in ("RS256", "ES256", "EdDSA")}


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    """A private certificate authority."""
    return Authority(folder / "ca")


@pytest.fixture(scope="session")
def config_dir(folder: Path) -> Path:
    """A configuration that only enables the service: all else comes from the environment."""
    path = folder / "config"
    path.mkdir()
    (path / "wac.ini").write_text("[xmpp]\n\n[log]\nlevel = silly\n")
    (path / "xmpp.toml").write_text("[xmpp]\n")
    return path


@pytest.fixture(scope="session")
def environment(server: Server, keys: dict[str, Key], folder: Path, config_dir: Path) -> dict[str, str]:
    """A good configuration."""
    return {
        "CONFIG_DIR": str(config_dir),
        "SIPPO_XMPP__XMPP_URL": server.ws_url,
        "SIPPO_XMPP__HOSTS_ADMIN_URL": server.hosts_url,
        "SIPPO_XMPP__ADMIN_TOKEN": server.admin_token,
        "SIPPO_AUTH__ISSUER": ISSUER,
        "SIPPO_AUTH__AUDIENCE": AUDIENCE,
        "SIPPO_AUTH__JWKS_URL": write_jwks(folder / "jwks.json", *keys.values()),
        "SIPPO_CORS__ALLOWED_ORIGINS": "https://chat.example.com,http://localhost:3000",
        "SIPPO_LOG__FORMAT": "json",
    }


@pytest.fixture(scope="session")
def functions(folder: Path, environment: dict[str, str]):
    """Makes functions with a changed configuration: `with functions(NAME="value", GONE=None) as api`."""
    def make(copies: int = 1, only: list[str] | None = None, most_copies: int | None = None, **changes: str | None) -> Functions:
        changed = {name: value for name, value in {**environment, **changes}.items() if value is not None}
        return Functions(folder / f"functions-{next(_counter)}", changed, copies, only, most_copies)
    return make


@pytest.fixture(scope="session")
def api(functions):
    """Functions with the good configuration, two copies of each."""
    with functions(copies=2) as running:
        yield running


@pytest.fixture
def user() -> str:
    """A user of its own for each test, as user@domain."""
    return f"user-{uuid.uuid4().hex[:10]}@{DOMAIN}"


@pytest.fixture
def token(keys: dict[str, Key], user: str) -> str:
    """An access token of `user`."""
    return keys["ES256"].sign(claims(user))


@pytest.fixture
def token_for(keys: dict[str, Key]):
    """Makes access tokens of any user, by the claims of access_tokens.claims."""
    return lambda user, **changes: keys["ES256"].sign(claims(user, **changes))
