"""Secrets in AWS Secrets Manager: read at cold start, and again when they may have changed (an HTTP double at AWS's edge)."""

import json
import os
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from support.functions import LOGIN, problem, run_alone
from support.issuer_double import CLIENT_ID, CLIENT_SECRET, HttpDouble, Introspection
from support.prosody import Server
from support.wait import until
from test_introspection import active

DOMAIN = "example.test"
CHANGED = "A secret has changed; the new one is used"
CANNOT = "A secret cannot be read again; the one from before is used, and reading it is tried again and again"
FAILED = "Failed to obtain [admin] XMPP client"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:sippo-xmpp-AbCdEf"


class SecretsManager:
    """GetSecretValue of the AWS JSON 1.1 protocol."""

    def __init__(self, value: str) -> None:
        self.value, self.status = value, 200

    def __call__(self, method, path, headers, body):
        assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        assert headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
        if self.status != 200:
            return self.status, {"__type": "AccessDeniedException", "Message": "not authorized"}
        return 200, {"ARN": json.loads(body)["SecretId"], "Name": "sippo-xmpp", "SecretString": self.value}


@pytest.fixture
def environment_of(environment):
    """A configuration that names the secret instead of the token."""
    def make(double: HttpDouble) -> dict[str, str]:
        changes = {"SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN": ARN, "AWS_ENDPOINT_URL": double.url,
                   "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        return {name: value for name, value in {**environment, **changes}.items() if name != "SIPPO_XMPP__ADMIN_TOKEN"}
    return make


def test_the_token_is_read_once_and_works(functions, server, token, environment_of):
    with HttpDouble(SecretsManager(server.admin_token + "\n")) as double:
        changes = environment_of(double) | {"SIPPO_XMPP__ADMIN_TOKEN": None}
        with functions(only=["login", "individual-chat-list-get"], **changes) as api:
            api.secrets.add(server.admin_token)
            assert api.list(token) == []
            body = api.login(token)
            server.client(body["jid"], body["token"]).connect().close()
        assert len(double.requests) == 2, "once a copy"
        assert all(json.loads(body)["SecretId"] == ARN for *_, body in double.requests)


@pytest.mark.parametrize(("value", "status"), [("please_change_me", 200), ("short", 200), ("", 200), ("x", 400)])
def test_an_unusable_secret_ends_the_function_with_one_line(environment_of, value, status):
    manager = SecretsManager(value)
    manager.status = status
    with HttpDouble(manager) as double:
        environment = environment_of(double)
        code, output = run_alone("login", environment.pop("CONFIG_DIR"), environment)
    lines = [line for line in output.strip().splitlines() if not line.startswith("{")]
    assert code > 0 and len(lines) == 1, output
    assert "adminTokenSecretArn" in lines[0] and ARN in lines[0]
    assert len(value) < 3 or value not in lines[0] or value == "short"


def test_something_that_is_no_arn(environment_of):
    with HttpDouble(SecretsManager("x" * 40)) as double:
        environment = environment_of(double) | {"SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN": "sippo-xmpp"}
        code, output = run_alone("login", environment.pop("CONFIG_DIR"), environment)
        assert code > 0
        assert "ADMIN_TOKEN_SECRET_ARN" in output and len(output.strip().splitlines()) == 1
        assert double.requests == []


@pytest.fixture
def rotating(tmp_path):
    """An XMPP server whose token stands in a file."""
    server = Server(tmp_path / "prosody")
    path = server.folder / "token"
    path.write_text(server.admin_token)
    server.settings = replace(server.settings, extra={"ADMIN_TOKEN": "", "ADMIN_TOKEN_FILE": str(path)})
    server.start()
    server.create_host(DOMAIN)
    yield server
    server.stop()


def change_token(server: Server, api) -> str:
    """Gives the XMPP server another token, takes the old one away, and ends the functions' sessions."""
    new = secrets.token_hex(32)
    (server.folder / "token").write_text(new)
    api.secrets.add(new)
    server.restart(admin_token=new)
    return new


@pytest.fixture
def start(functions, environment_of, rotating):
    """Makes functions that reach that server, with the secrets of a double."""
    def make(double: HttpDouble, *only: str, most_copies: int | None = None, **changes: str | None):
        return functions(only=["login", *(name for name in only if name != "login")], most_copies=most_copies, **{
            **environment_of(double), "SIPPO_XMPP__ADMIN_TOKEN": None, "SIPPO_XMPP__XMPP_URL": rotating.ws_url,
            "SIPPO_XMPP__HOSTS_ADMIN_URL": rotating.hosts_url, **changes})
    return make


def test_warm_functions_take_a_changed_token_at_the_first_refusal(start, rotating, token):
    manager = SecretsManager(rotating.admin_token)
    with HttpDouble(manager) as double, start(double, "individual-chat-list-put", "individual-chat-list-get") as api:
        assert (api.put(token, f"bob@{DOMAIN}").status_code, api.list(token)) == (204, [f"bob@{DOMAIN}"])
        mark, asked = api.mark(), len(double.requests)
        manager.value = change_token(rotating, api)
        assert api.put(token, f"carol@{DOMAIN}").status_code == 204, "the call that is refused goes on with the new one"
        assert api.list(token) == [f"bob@{DOMAIN}", f"carol@{DOMAIN}"]
        assert len(double.requests) == asked + 2, "once a function"
        assert len(api.log(mark, CHANGED)) >= 2
        assert not [line for line in api.log(mark) if line["level"] in ("error", "warn")]


def test_a_token_that_is_changed_at_the_xmpp_server_first_is_taken_when_the_secret_has_it(start, rotating, token):
    manager = SecretsManager(rotating.admin_token)
    with HttpDouble(manager) as double, start(double, "individual-chat-list-put") as api:
        assert api.put(token, f"bob@{DOMAIN}").status_code == 204
        mark = api.mark()
        new = change_token(rotating, api)
        for _ in range(5):
            problem(api.put(token, f"bob@{DOMAIN}"), 503)
        assert api.logged(mark, FAILED)
        manager.value = new
        until(lambda: api.put(token, f"bob@{DOMAIN}").status_code == 204, "a call that succeeds", 20)


def test_a_secret_that_cannot_be_read_again_is_told_and_asked_for_now_and_then(start, rotating, token):
    manager = SecretsManager(rotating.admin_token)
    with HttpDouble(manager) as double, start(double, "individual-chat-list-put") as api:
        assert api.put(token, f"bob@{DOMAIN}").status_code == 204
        mark, asked = api.mark(), len(double.requests)
        manager.value, manager.status = change_token(rotating, api), 400
        for _ in range(20):
            problem(api.put(token, f"bob@{DOMAIN}"), 503)
        [line] = api.logged(mark, CANNOT)
        assert ARN in line["cause"]
        assert len(double.requests) < asked + 15, "not at each refusal"
        manager.status = 200
        until(lambda: api.put(token, f"bob@{DOMAIN}").status_code == 204, "a call that succeeds", 20)


def test_a_copy_that_cannot_read_its_secret_ends_no_other(start, rotating, token):
    manager = SecretsManager(rotating.admin_token)
    with HttpDouble(manager) as double, start(double, "individual-chat-list-get", most_copies=2) as api, ThreadPoolExecutor() as pool:
        assert api.list(token) == []
        mark, manager.status = api.mark(), 400
        [first] = api.pids("individual-chat-list-get")
        os.kill(first, signal.SIGSTOP)
        try:
            lists = [pool.submit(api.list, token) for _ in range(2)]
            api.logged(mark, "Function ended, starting it again")
        finally:
            os.kill(first, signal.SIGCONT)
        assert [one.result() for one in lists] == [[], []]


def test_a_client_secret_that_was_changed_is_taken_at_the_first_refusal(functions, authority, environment_of, user):
    arn, known = ARN.replace("sippo", "issuer"), Introspection()
    known.tokens = {"opaque-token-1": active(user), "opaque-token-2": active(user)}
    manager = SecretsManager(CLIENT_SECRET + "\n")
    with HttpDouble(manager) as double, HttpDouble(known, authority.server_context()) as issuer:
        aws = {name: value for name, value in environment_of(double).items() if name.startswith("AWS_")}
        opaque = {"SIPPO_AUTH__JWKS_URL": None, "SIPPO_AUTH__ISSUER": None, "SIPPO_TLS__CA_FILE": str(authority.ca_file),
                  "SIPPO_AUTH__INTROSPECTION_URL": issuer.url, "SIPPO_AUTH__INTROSPECTION_CLIENT_ID": CLIENT_ID,
                  "SIPPO_AUTH__INTROSPECTION_CLIENT_SECRET_ARN": arn}
        with functions(only=["login"], **aws, **opaque) as api:
            api.secrets |= {CLIENT_SECRET, "another-client-secret"}
            assert api.login("opaque-token-1")["jid"] == user
            manager.value = known.secret = "another-client-secret"
            assert api.login("opaque-token-2")["jid"] == user
            problem(api.call("GET", LOGIN, "never-issued"), 401)
        asked = [json.loads(body)["SecretId"] for *_, body in double.requests]
        assert asked == [arn, arn], "at the start and at the refusal"
