"""Paths, methods, CORS and the form of errors."""

import pytest

from support.functions import LIST, LOGIN, ok, problem

ORIGIN = "https://chat.example.com"


@pytest.mark.parametrize("path", [
    "/", "/sapi", "/sapi/xmpp", "/sapi/xmpp/", "/sapi/xmpp/logins", "/sapi/xmpp/login/", "/sapi/xmpp/LOGIN",
    "//sapi/xmpp/login", "/sapi/xmpp/login/x", "/prod/sapi/xmpp/login", "/sapi/xmpp/individualchatlist",
])
def test_unknown_paths(api, token, path):
    problem(api.call("GET", path, token), 404)


@pytest.mark.parametrize(("path", "allowed"), [
    (LOGIN, {"GET"}), (LIST, {"GET"}), (f"{LIST}/bob@example.test", {"PUT", "DELETE"}),
])
def test_wrong_methods(api, token, path, allowed):
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - allowed:
        answer = api.call(method, path, token)
        problem(answer, 405)
        allow = {name.strip() for name in answer.headers["allow"].split(",")}
        assert allowed <= allow <= allowed | {"OPTIONS", "HEAD"}


def test_errors_have_an_instance_of_their_own(api):
    first, second = (problem(api.call("GET", LOGIN), 401)["instance"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(("path", "method"), [
    (LOGIN, "GET"), (LIST, "GET"), (f"{LIST}/bob@example.test", "PUT"), (f"{LIST}/bob%40example.test%2Fx", "DELETE"),
])
@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
def test_preflight_of_an_allowed_origin(api, path, method, origin):
    answer = api.call("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"})
    ok(answer)
    assert answer.headers["access-control-allow-origin"] == origin
    assert method in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


def test_tracing_headers_are_allowed_and_others_by_configuration(api, functions):
    asked = "authorization,baggage,sentry-trace,traceparent"

    def allowed(running) -> set[str]:
        answer = ok(running.call("OPTIONS", LOGIN, headers={
            "Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": asked}))
        return {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}

    assert set(asked.split(",")) <= allowed(api)
    with functions(only=["login"], SIPPO_CORS__ALLOWED_HEADERS="Authorization,X-Own") as own:
        assert allowed(own) == {"authorization", "x-own"}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example", "http://chat.example.com"])
def test_other_origins_are_told_nothing(api, token, origin):
    for answer in (
        api.call("OPTIONS", LOGIN, headers={"Origin": origin, "Access-Control-Request-Method": "GET"}),
        api.call("GET", LOGIN, token, headers={"Origin": origin}),
    ):
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-methods" not in answer.headers


def test_actual_calls_may_be_read_also_when_they_fail(api, token):
    for answer in (
        api.call("GET", LOGIN, token, headers={"Origin": ORIGIN}),
        api.call("GET", LOGIN, headers={"Origin": ORIGIN}),
        api.call("GET", "/sapi/xmpp/nothing", headers={"Origin": ORIGIN}),
        api.call("POST", LOGIN, headers={"Origin": ORIGIN}),
        api.put(token, "%00"),
    ):
        if "origin" in answer.request.headers:
            assert answer.headers["access-control-allow-origin"] == ORIGIN, answer.status_code
        assert answer.headers["cache-control"] == "no-store"


def test_without_allowed_origins_there_is_no_cors(functions, token):
    with functions(only=["login"], SIPPO_CORS__ALLOWED_ORIGINS=None) as api:
        answer = api.call("GET", LOGIN, token, headers={"Origin": ORIGIN})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_disabled_service_answers_404(functions, folder, token):
    config = folder / "config-disabled"
    config.mkdir()
    (config / "wac.ini").write_text("[sippo-server]\nport = 8000\n[log]\nlevel = info\n")
    with functions(CONFIG_DIR=str(config)) as api:
        for method, path in (("GET", LOGIN), ("GET", LIST), ("PUT", f"{LIST}/bob@example.test"),
                             ("DELETE", f"{LIST}/bob@example.test"), ("OPTIONS", LOGIN)):
            problem(api.call(method, path, token), 404)
        # The file that it has read, wherever CONFIG_DIR leads.
        assert api.logged(0, f"The service is disabled: {config}/wac.ini has no section [xmpp]")
