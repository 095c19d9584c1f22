"""The XMPP server down, hanging, restarted or not itself: 503 within 5 s, one error line, and recovery."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from support.functions import LIST, ok, problem
from support.issuer_double import HttpDouble
from support.prosody import Server
from support.wait import until

LINE = "Failed to obtain [admin] XMPP client"
BOUND = 5.0


def unavailable(answer) -> None:
    """503 that says when to come back, in time."""
    problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.elapsed.total_seconds() < BOUND


def fails_once(api, token, method: str = "GET", path: str = LIST) -> dict:
    """One call, 503, and exactly one error line; returns that line."""
    mark = api.mark()
    unavailable(api.call(method, path, token))
    lines = api.logged(mark, LINE)
    assert len(lines) == 1, api.log(mark)
    assert lines[0]["level"] == "error"
    assert lines[0]["error"]
    return lines[0]


@pytest.fixture
def own_server(folder):
    """An XMPP server that a test may ill-treat."""
    server = Server(folder / f"prosody-{time.monotonic_ns()}").start()
    server.create_host("example.test")
    yield server
    if server.running:
        server.signal(signal.SIGCONT)
    server.stop()


@pytest.fixture
def own_api(functions, own_server):
    """One copy of each chat list function in front of it."""
    with functions(only=["login", "individual-chat-list-get", "individual-chat-list-put"],
                   SIPPO_XMPP__XMPP_URL=own_server.ws_url, SIPPO_XMPP__HOSTS_ADMIN_URL=own_server.hosts_url,
                   SIPPO_XMPP__ADMIN_TOKEN=own_server.admin_token) as running:
        yield running


def test_server_down_and_up_again(own_api, own_server, token):
    api = own_api
    assert api.list(token) == []
    own_server.kill()
    for _ in range(3):
        fails_once(api, token)
    fails_once(api, token, "PUT", f"{LIST}/bob@example.test")
    own_server.start()
    assert api.list(token) == []
    assert api.put(token, "bob@example.test").status_code == 204


def test_a_restart_between_two_calls_costs_no_failure(own_api, own_server, token):
    own_api.put(token, "bob@example.test")
    for _ in range(3):
        assert own_api.list(token) == ["bob@example.test"]
        own_server.kill()
        own_server.start()


def test_server_stops_answering_before_the_session(own_api, own_server, token):
    own_server.signal(signal.SIGSTOP)
    fails_once(own_api, token)
    own_server.signal(signal.SIGCONT)
    assert own_api.list(token) == []


def test_server_stops_answering_in_a_session(own_api, own_server, token):
    own_api.list(token)
    own_server.signal(signal.SIGSTOP)
    for _ in range(2):
        unavailable(own_api.call("GET", LIST, token))
    own_server.signal(signal.SIGCONT)
    assert own_api.list(token) == []


def test_a_frozen_function_survives_the_servers_restart(own_api, own_server, token):
    own_api.list(token)
    [pid] = own_api.pids("individual-chat-list-get")
    os.kill(pid, signal.SIGSTOP)
    own_server.kill()
    own_server.start()
    os.kill(pid, signal.SIGCONT)
    mark = own_api.mark()
    assert own_api.list(token) == []
    assert own_api.log(mark, LINE) == []
    assert own_api.pids("individual-chat-list-get") == [pid]


def test_a_crashed_function_is_answered_for_and_comes_back(own_api, own_server, token):
    own_api.list(token)
    [pid] = own_api.pids("individual-chat-list-get")
    own_server.signal(signal.SIGSTOP)
    answers = []
    call = threading.Thread(target=lambda: answers.append(own_api.call("GET", LIST, token)))
    call.start()
    # Its request is on the way when the server's socket has something to read.
    until(lambda: _has_unread_input(own_server.settings.http_port), "a request that waits for the server", 30)
    os.kill(pid, signal.SIGKILL)
    call.join(10)
    assert answers and answers[0].status_code >= 500
    own_server.signal(signal.SIGCONT)
    assert own_api.list(token) == []
    assert own_api.pids("individual-chat-list-get") != [pid]


def _has_unread_input(port: int) -> bool:
    """Whether a connection of the server on `port` holds bytes that it has not read."""
    with open("/proc/net/tcp") as table:
        for line in list(table)[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == port and fields[3] == "01" and int(fields[4].split(":")[1], 16):
                return True
    return False


def test_many_calls_at_once_on_a_server_that_is_down(own_api, own_server, token):
    own_server.kill()
    mark, answers = own_api.mark(), []
    calls = [threading.Thread(target=lambda: answers.append(own_api.call("GET", LIST, token))) for _ in range(30)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(answers) == 30
    for answer in answers:
        unavailable(answer)
    assert 1 <= len(own_api.log(mark, LINE)) <= 30


@contextlib.contextmanager
def listener(behave):
    """A TCP server that treats each connection with `behave(connection)`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=behave, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        stopping.set()
        server.shutdown(socket.SHUT_RDWR)


def _silent(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


def _garbage(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(4096)
        connection.sendall(b"220 mail.example.test ESMTP\r\n")


def _closing(connection: socket.socket) -> None:
    connection.close()


def _dripping(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(4096)
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)  # that slow is the behaviour under test


def chat_list_only(functions, **changes):
    return functions(only=["login", "individual-chat-list-get"], **changes)


@pytest.mark.parametrize("behave", [_silent, _garbage, _closing, _dripping])
def test_not_an_xmpp_server(functions, token, behave):
    with listener(behave) as port, chat_list_only(
            functions, SIPPO_XMPP__XMPP_URL=f"ws://127.0.0.1:{port}/xmpp-websocket") as api:
        for _ in range(2):
            fails_once(api, token)


def test_an_http_server_without_websockets(functions, token):
    with HttpDouble(lambda *_: (200, {})) as other, chat_list_only(
            functions, SIPPO_XMPP__XMPP_URL=other.url.replace("http", "ws")) as api:
        fails_once(api, token)


def test_a_wrong_admin_token(functions, token):
    with chat_list_only(functions, SIPPO_XMPP__ADMIN_TOKEN="w" * 40) as api:
        line = fails_once(api, token)
        assert "adminToken" in line["error"], "the line says what to mend"
        fails_once(api, token)


def test_a_name_that_does_not_resolve(functions, token):
    with chat_list_only(functions, SIPPO_XMPP__XMPP_URL="ws://nowhere.invalid:5280/xmpp-websocket") as api:
        fails_once(api, token)


@pytest.fixture(scope="module")
def tls_server(folder, authority):
    """An XMPP server with TLS."""
    from stack.ports import free_port
    server = Server(folder / "prosody-tls", https_port=free_port(), certificate=authority.certificate,
                    key=authority.key).start()
    server.create_host("example.test")
    yield server
    server.stop()


def tls_environment(server: Server, **changes: str) -> dict[str, str]:
    return {"SIPPO_XMPP__XMPP_URL": server.wss_url, "SIPPO_XMPP__HOSTS_ADMIN_URL": server.hosts_url,
            "SIPPO_XMPP__ADMIN_TOKEN": server.admin_token, **changes}


def test_a_private_authority_can_be_given(functions, tls_server, authority, token):
    with chat_list_only(functions, **tls_environment(
            tls_server, SIPPO_TLS__CA_FILE=str(authority.ca_file))) as api:
        assert ok(api.call("GET", LIST, token)).json() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_by_any_name_that_the_certificate_has(functions, tls_server, authority, token, host):
    """By an address a client sends no server name (RFC 6066, section 3), by a name it does."""
    url = tls_server.wss_url.replace("127.0.0.1", host)
    hosts_url = f"https://{host}:{tls_server.settings.https_port}/quobis_virtualhosts/virtualhost"
    with chat_list_only(functions, **tls_environment(
            tls_server, SIPPO_TLS__CA_FILE=str(authority.ca_file), SIPPO_XMPP__XMPP_URL=url,
            SIPPO_XMPP__HOSTS_ADMIN_URL=hosts_url)) as api:
        assert ok(api.call("GET", LIST, token)).json() == []


def test_an_unknown_authority_is_a_failure(functions, tls_server, token):
    with chat_list_only(functions, **tls_environment(tls_server)) as api:
        fails_once(api, token)


def test_a_certificate_for_another_name_is_a_failure(functions, tls_server, authority, token):
    url = tls_server.wss_url.replace("127.0.0.1", "127.0.0.2")
    with chat_list_only(functions, **tls_environment(
            tls_server, SIPPO_TLS__CA_FILE=str(authority.ca_file), SIPPO_XMPP__XMPP_URL=url)) as api:
        fails_once(api, token)


def test_tls_where_there_is_none(functions, server, authority, token):
    with chat_list_only(functions, SIPPO_XMPP__XMPP_URL=server.ws_url.replace("ws:", "wss:"),
                        SIPPO_TLS__CA_FILE=str(authority.ca_file)) as api:
        fails_once(api, token)
