"""Every fault of the configuration ends the function at start, with one line: file, key, mend, no secret."""

import itertools
import re

import pytest

from support.functions import LOGIN, run_alone

TOKEN = "a-good-admin-token-of-more-than-32-characters"
GOOD = {
    "xmpp": {
        "xmppUrl": '"ws://127.0.0.1:5280/xmpp-websocket"',
        "hostsAdminUrl": '"http://127.0.0.1:5280/quobis_virtualhosts/virtualhost"',
        "adminToken": f'"{TOKEN}"',
    },
    "auth": {
        "issuer": '"https://issuer.test"', "audience": '"sippo-xmpp"', "jwksUrl": '"https://issuer.test/jwks"',
    },
}
WAC = "[xmpp]\n[log]\nlevel = info\n"
_numbers = itertools.count(1)


@pytest.fixture
def config(tmp_path):
    """Writes a configuration with keys changed, or removed where None; returns its folder."""
    def write(wac: str | None = WAC, toml: str | None = None, **sections: dict[str, str | None]):
        path = tmp_path / f"config-{next(_numbers)}"
        path.mkdir()
        if wac is not None:
            (path / "wac.ini").write_text(wac)
        if toml is None:
            lines = []
            for section in {**GOOD, **sections}:
                lines.append(f"[{section}]")
                keys = {**GOOD.get(section, {}), **sections.get(section, {})}
                lines += [f"{key} = {value}" for key, value in keys.items() if value is not None]
            toml = "\n".join(lines) + "\n"
        if toml != "absent":
            (path / "xmpp.toml").write_text(toml)
        return path
    return write


def stops(path, *names: str, environment: dict[str, str] | None = None, secret: str = TOKEN) -> str:
    """The function ends at once with one line that holds all `names`; returns it."""
    code, output = run_alone("login", path, environment)
    assert code not in (0, None) and code > 0, (code, output)
    lines = output.strip().splitlines()
    assert len(lines) == 1, output
    for name in names:
        assert name in lines[0], f"{name} is not in: {lines[0]}"
    assert secret not in lines[0]
    # What is wrong, and then the mend.
    assert re.search(r"; \w", lines[0]), f"no mend: {lines[0]}"
    return lines[0]


def test_a_good_configuration_gets_as_far_as_the_runtime(config):
    _, output = run_alone("login", config())
    assert "Function started" in output


def test_missing_files(config, tmp_path):
    stops(tmp_path / "nowhere", "wac.ini", "CONFIG_DIR")
    stops(config(wac=None), "wac.ini")
    stops(config(toml="absent"), "xmpp.toml")


@pytest.mark.parametrize(("section", "key"), [
    ("xmpp", "xmppUrl"), ("xmpp", "hostsAdminUrl"), ("xmpp", "adminToken"),
    ("auth", "issuer"), ("auth", "audience"), ("auth", "jwksUrl"),
])
def test_mandatory_keys(config, section, key):
    stops(config(**{section: {key: None}}), "xmpp.toml", key, "is missing")


def test_unknown_keys_and_sections(config):
    stops(config(xmpp={"xmppURL": '"ws://x"'}), "xmpp.toml", "xmppURL", "xmppUrl")
    stops(config(auth={"realm": '"x"'}), "xmpp.toml", "realm")
    stops(config(extra={"a": "1"}), "xmpp.toml", "extra")
    stops(config(toml='adminToken = "x"\n'), "xmpp.toml", "adminToken")


@pytest.mark.parametrize(("section", "key", "value"), [
    ("xmpp", "xmppUrl", '"http://127.0.0.1:5280/x"'), ("xmpp", "xmppUrl", '"xmpp.example.com"'),
    ("xmpp", "xmppUrl", '"ws://"'), ("xmpp", "xmppUrl", '""'), ("xmpp", "xmppUrl", "5280"),
    ("xmpp", "xmppUrl", '"ws://exa mple/x"'),
    ("xmpp", "hostsAdminUrl", '"ws://127.0.0.1/x"'), ("xmpp", "hostsAdminUrl", '"file:///etc/passwd"'),
    ("xmpp", "publicXmppUrl", '"https://chat.example.com"'),
    ("xmpp", "adminJid", '"sippo"'), ("xmpp", "adminJid", '"Sippo@sippo-admin.internal"'),
    ("xmpp", "adminJid", '"sippo@sippo-admin.internal/x"'),
    ("xmpp", "loginTokenTtl", "0"), ("xmpp", "loginTokenTtl", "-5"), ("xmpp", "loginTokenTtl", '"300"'),
    ("auth", "jwksUrl", '"http://issuer.test/jwks"'), ("auth", "jwksUrl", '"ftp://issuer.test/jwks"'),
    ("cors", "allowedOrigins", '["https://chat.example.com/"]'), ("cors", "allowedOrigins", '["chat.example.com"]'),
    ("log", "format", '"xml"'), ("tls", "caFile", '"/nowhere/ca.pem"'),
])
def test_bad_values(config, section, key, value):
    stops(config(**{section: {key: value}}), key)


@pytest.mark.parametrize("token", [
    "please_change_me", "short", "x" * 31, "x" * 513, "x" * 40 + "\\n", "ü" * 40, "x" * 40 + "\\t", "",
])
@pytest.mark.parametrize("key", ["adminToken", "adminTokenPrevious"])
def test_unusable_tokens(config, key, token):
    line = stops(config(xmpp={key: f'"{token}"'}), "xmpp.toml", key, secret=token if len(token) > 20 else TOKEN)
    assert "x" * 31 not in line


@pytest.mark.parametrize("length", [32, 512])
def test_the_limits_of_a_token(config, length):
    _, output = run_alone("login", config(xmpp={"adminToken": f'"{"x~!" * 200}'[:length + 1] + '"'}))
    assert "Function started" in output


def test_text_that_is_not_toml_or_ini(config):
    assert "line 2" in stops(config(toml=f'[xmpp]\nadminToken = {TOKEN}\n'), "xmpp.toml")
    stops(config(toml=f'[xmpp]\nadminToken = "{TOKEN}\n'), "xmpp.toml")
    stops(config(wac="[xmpp\nlevel\n"), "wac.ini")


def test_a_bad_level(config):
    stops(config(wac="[xmpp]\n[log]\nlevel = loud\n"), "wac.ini", "level", "silly")


def test_two_kinds_of_access_tokens(config):
    stops(config(auth={"introspectionUrl": '"https://issuer.test/introspect"'}), "xmpp.toml", "introspectionUrl")
    stops(config(auth={"jwksUrl": None, "introspectionUrl": '"https://issuer.test/introspect"'}),
          "xmpp.toml", "introspectionClientId")
    stops(config(auth={"jwksUrl": None, "introspectionUrl": '"https://issuer.test/introspect"',
                       "introspectionClientId": '"a"'}), "xmpp.toml", "introspectionClientSecret")


def test_environment_variables_override_and_are_named_in_errors(config):
    path = config()
    stops(path, "SIPPO_XMPP__XMPP_URL", environment={"SIPPO_XMPP__XMPP_URL": "http://x"})
    stops(path, "SIPPO_XMPP__ADMIN_TOKEN", environment={"SIPPO_XMPP__ADMIN_TOKEN": "too-short-secret"},
          secret="too-short-secret")
    stops(path, "SIPPO_LOG__LEVEL", environment={"SIPPO_LOG__LEVEL": "loud"})
    stops(path, "SIPPO_XMPP__LOGIN_TOKEN_TTL", environment={"SIPPO_XMPP__LOGIN_TOKEN_TTL": "soon"})
    stops(path, "SIPPO_XMPP__XMPPURL", environment={"SIPPO_XMPP__XMPPURL": "ws://x"})
    # One underscore instead of two, and a name of the XMPP server's that it does not have either.
    stops(path, "SIPPO_LOG_LEVEL", "SIPPO_LOG__LEVEL", environment={"SIPPO_LOG_LEVEL": "debug"})
    stops(path, "SIPPO_XMPP_LOGLEVEL", "SIPPO_XMPP_LOG_LEVEL", environment={"SIPPO_XMPP_LOGLEVEL": "debug"})
    stops(path, "SIPPO_XMPP_ADMIN_JID", environment={"SIPPO_XMPP_ADMIN_JID": "chat@admin.internal"})
    others = {"SIPPO_XMPP_DATA": "/srv/xmpp", "SIPPO_XMPP_ADMIN_JID": "sippo@sippo-admin.internal", "SIPPO_PROSODY": "13.0"}
    _, output = run_alone("login", path, others)
    assert "Function started" in output
    _, output = run_alone("login", config(xmpp={"xmppUrl": None}), {"SIPPO_XMPP__XMPP_URL": "ws://127.0.0.1:1/x"})
    assert "Function started" in output


def test_other_services_sections_are_ignored(config):
    wac = "; platform\n[sippo-server]\nadminToken = x\n[authentication]\nlevel = loud\n" + WAC + "rotate = true\n"
    _, output = run_alone("login", config(wac=wac))
    assert "Function started" in output


def test_traffic_in_the_clear_is_warned_about_once(config):
    path = config(xmpp={"xmppUrl": '"ws://prosody.example:5280/x"', "hostsAdminUrl": '"https://prosody.example/x"'})
    _, output = run_alone("login", path)
    assert output.count("prosody.example") == 1
    assert '"warn"' in output
    _, output = run_alone("login", config())
    assert '"warn"' not in output


def test_bad_configuration_ends_the_local_lambda_with_the_line(functions):
    from stack.supervisor import StackError
    api = functions(SIPPO_XMPP__XMPP_URL="http://wrong")
    with pytest.raises(StackError, match="xmppUrl"):
        api.start()


def test_the_sample_configuration_lacks_only_the_token(config):
    from stack.paths import ROOT
    line = stops(ROOT / "config", "xmpp.toml", "adminToken", "is missing")
    assert "SIPPO_XMPP__ADMIN_TOKEN" in line
    _, output = run_alone("login", ROOT / "config", {"SIPPO_XMPP__ADMIN_TOKEN": TOKEN})
    assert "Function started" in output
    assert LOGIN not in output
