"""mod_auth_sippo: who logs in, and who does not (xmpp-server/README.md)."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
import time
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.login_tokens import base64url, derive_key, encode, mint
from stack.ports import free_port
from support.xmpp import AuthFailed, E, StreamError, XmppError, error_condition, serialize

MAX_TOKEN = 1023


def refused(server, jid: str, password: str, **options) -> str:
    """The SASL condition with which a login is refused."""
    client = server.client(jid, password, **options)
    with pytest.raises(AuthFailed) as failure:
        client.connect()
    return failure.value.condition


def last_warning(server, jid: str) -> str:
    """The last warning that Prosody has logged about a user."""
    lines = [line for line in server.log_text().splitlines() if f"Login of {jid} failed" in line]
    assert lines, f"nothing logged about {jid}"
    assert "warn\tLogin" in lines[-1]
    return lines[-1]


def claims_for(jid: str, **changes) -> dict:
    return {"sub": jid, "aud": jid.partition("@")[2], "exp": int(time.time()) + 300, **changes}


def test_login_token_opens_a_session(server, domain):
    with server.user(f"alice@{domain}", "phone") as alice:
        assert alice.jid == f"alice@{domain}/phone"
        alice.sync()


def test_only_sasl_plain_is_offered(server, domain):
    client = server.client(f"alice@{domain}", "x").open()
    assert client.mechanisms() == {"PLAIN"}
    client.close()


def test_identity_is_prepared_before_it_is_compared(server, domain):
    client = server.client(f"ALICE@{domain}", server.login_token(f"alice@{domain}")).connect()
    assert client.jid.startswith(f"alice@{domain}/")
    client.close()


def test_escaped_localpart_logs_in(server, domain):
    jid = rf"jos\40corp.test@{domain}"
    with server.user(jid) as client:
        assert client.jid.startswith(jid)


def test_token_lives_to_its_end(server, domain):
    with server.user(f"alice@{domain}", ttl=5):
        pass
    assert refused(server, f"alice@{domain}", server.login_token(f"alice@{domain}", ttl=0)) == "credentials-expired"


BAD_TOKENS = {
    "expired": (lambda t, j: mint(t, j, ttl=-1), "expired"),
    "long expired": (lambda t, j: mint(t, j, exp=1), "expired"),
    "no exp": (lambda t, j: mint(t, j, without=("exp",)), "exp is missing"),
    "exp null": (lambda t, j: mint(t, j, exp=None), "exp is missing"),
    "exp text": (lambda t, j: mint(t, j, exp=str(int(time.time()) + 300)), "exp is missing"),
    "exp list": (lambda t, j: mint(t, j, exp=[int(time.time()) + 300]), "exp is missing"),
    "exp true": (lambda t, j: mint(t, j, exp=True), "exp is missing"),
    "other sub": (lambda t, j: mint(t, j, sub="bob@" + j.partition("@")[2]), "another user"),
    "no sub": (lambda t, j: mint(t, j, without=("sub",)), "another user"),
    "sub without domain": (lambda t, j: mint(t, j, sub=j.partition("@")[0]), "another user"),
    "sub a full JID": (lambda t, j: mint(t, j, sub=j + "/phone"), "another user"),
    "sub in another case": (lambda t, j: mint(t, j, sub=j.title()), "another user"),
    "sub a list": (lambda t, j: mint(t, j, sub=[j]), "another user"),
    "sub of another domain": (lambda t, j: mint(t, j, sub="alice@elsewhere.example"), "another user"),
    "other aud": (lambda t, j: mint(t, j, aud="elsewhere.example"), "another domain"),
    "no aud": (lambda t, j: mint(t, j, without=("aud",)), "another domain"),
    "aud a list": (lambda t, j: mint(t, j, aud=[j.partition("@")[2]]), "another domain"),
    "alg none, signed": (lambda t, j: mint(t, j, header={"alg": "none"}), "HS256"),
    "alg None, signed": (lambda t, j: mint(t, j, header={"alg": "None"}), "HS256"),
    "alg HS512": (lambda t, j: mint(t, j, header={"alg": "HS512"}), "HS256"),
    "alg RS256": (lambda t, j: mint(t, j, header={"alg": "RS256"}), "HS256"),
    "no alg": (lambda t, j: mint(t, j, header={"typ": "JWT"}), "HS256"),
    "header a list": (lambda t, j: mint(t, j, header=["HS256"]), "HS256"),
    "critical extension": (lambda t, j: mint(t, j, header={"alg": "HS256", "crit": ["b64"], "b64": False}), "critical"),
    "alg none, empty signature": (lambda t, j: mint(t, j, header={"alg": "none"}, signature=b""), "not a login token"),
    "two parts": (lambda t, j: mint(t, j).rpartition(".")[0], "not a login token"),
    "four parts": (lambda t, j: mint(t, j) + ".x", "not a login token"),
    "five parts": (lambda t, j: mint(t, j) + ".a.b", "not a login token"),
    "padded signature": (lambda t, j: mint(t, j) + "=", "not a login token"),
    "no token at all": (lambda t, j: "secret", "not a login token"),
    "zero signature": (lambda t, j: mint(t, j, signature=bytes(32)), "signature"),
    "cut signature": (lambda t, j: mint(t, j)[:-1], "signature"),
    "other key": (lambda t, j: mint(secrets.token_hex(32), j), "signature"),
    "other info": (lambda t, j: mint(t, j, info=b"sippo-xmpp login token v2"), "signature"),
    "the admin token as key": (lambda t, j: encode(claims_for(j), t.encode()), "signature"),
    "claims a list": (lambda t, j: encode([claims_for(j)], derive_key(t)), "exp is missing"),
    "claims no object": (lambda t, j: encode("claims", derive_key(t)), "no JSON object"),
    "too long": (lambda t, j: mint(t, j, pad="x" * MAX_TOKEN), "longer than"),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_bad_token_is_refused_and_logged(server, domain, kind):
    make, reason = BAD_TOKENS[kind]
    jid = f"alice@{domain}"
    token = make(server.admin_token, jid)
    condition = "credentials-expired" if reason == "expired" else "not-authorized"  # RFC 6120, section 6.5.3
    assert refused(server, jid, token) == condition
    assert reason in last_warning(server, jid)


@pytest.mark.parametrize("changes", [{"sub": "bob@elsewhere.example"}, {"aud": "elsewhere.example"}, {"signature": bytes(32)}])
def test_only_an_own_token_has_expired(server, domain, changes):
    jid = f"alice@{domain}"
    assert refused(server, jid, mint(server.admin_token, jid, ttl=-1, **changes)) == "not-authorized"


def test_claims_cannot_be_changed(server, domain):
    jid = f"alice@{domain}"
    header, _, signature = mint(server.admin_token, f"bob@{domain}").split(".")
    forged = mint(server.admin_token, jid).split(".")[1]
    assert refused(server, jid, f"{header}.{forged}.{signature}") == "not-authorized"
    assert "signature" in last_warning(server, jid)


def test_signature_is_accepted_in_its_one_spelling_only(server, domain):
    jid = f"alice@{domain}"
    token = mint(server.admin_token, jid)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    assert last % 4 == 0  # 32 bytes leave two bits over in the last character
    assert refused(server, jid, token[:-1] + alphabet[last + 1]) == "not-authorized"


def test_longest_token_is_accepted_one_byte_more_is_not(server, domain):
    jid = f"alice@{domain}"

    def of_length(length: int) -> str:
        # a pad in the header moves the length by four bytes for three; one in the claims finds the remainder
        for header_pad in range(4):
            for pad in range(length):
                token = mint(server.admin_token, jid, header={"alg": "HS256", "x": "x" * header_pad}, pad="x" * pad)
                if len(token) == length:
                    return token
        raise AssertionError(f"no token of {length} bytes")

    with server.client(jid, of_length(MAX_TOKEN)).connect() as alice:
        alice.sync()
    assert refused(server, jid, of_length(MAX_TOKEN + 1)) == "not-authorized"


def test_tokens_of_one_tenant_are_nothing_on_another(server, domain, other_domain):
    token = server.login_token(f"alice@{domain}")
    assert refused(server, f"alice@{other_domain}", token) == "not-authorized"
    assert "another user" in last_warning(server, f"alice@{other_domain}")


# RFC 4616: authzid, and what a message may be


def test_authzid_of_oneself_is_accepted(server, domain):
    jid = f"alice@{domain}"
    server.client(jid, server.login_token(jid), authzid=jid).connect().close()
    server.client(jid, server.login_token(jid), authzid=jid.upper()).connect().close()


@pytest.mark.parametrize("authzid", ["bob@{}", "alice", "alice@elsewhere.example", "alice@{}/phone", "{}", "@", " "])
def test_authzid_of_another_is_refused(server, domain, authzid):
    jid = f"alice@{domain}"
    token = server.login_token(jid)
    assert refused(server, jid, token, authzid=authzid.format(domain)) == "invalid-authzid"
    assert "somebody else" in last_warning(server, jid)


@pytest.mark.parametrize("message", [
    b"", b"\0", b"\0\0", b"\0alice", b"\0alice\0", b"alice\0token", b"\0\0token", b"\0alice\0token\0more", b"\0 \0token",
    b"\0alice@host\0token", b"\0\xff\0token", b"\0" + b"a" * 5000 + b"\0token",
])
def test_malformed_message_is_refused(server, domain, message):
    client = server.client(f"alice@{domain}", "x").open()
    with pytest.raises(AuthFailed) as failure:
        client.authenticate(message=message)
    assert failure.value.condition == "malformed-request"
    client.close()


def test_what_follows_the_token_is_not_ignored(server, domain):
    jid = f"alice@{domain}"
    client = server.client(jid, "x").open()
    with pytest.raises(AuthFailed):
        client.authenticate(message=b"\0alice\0" + server.login_token(jid).encode() + b"\0x")
    client.close()


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "EXTERNAL", "SCRAM-SHA-1", "X-NONE"])
def test_other_mechanisms_are_refused(server, domain, mechanism):
    jid = f"alice@{domain}"
    client = server.client(jid, server.login_token(jid)).open()
    with pytest.raises(AuthFailed) as failure:
        client.authenticate(mechanism=mechanism)
    assert failure.value.condition == "invalid-mechanism"
    client.close()


def test_second_try_on_the_same_stream(server, domain):
    jid = f"alice@{domain}"
    client = server.client(jid, "wrong").open()
    with pytest.raises(AuthFailed):
        client.authenticate()
    client.password = server.login_token(jid)
    client.authenticate()
    assert client.bind().startswith(jid)
    client.close()


def test_nothing_is_served_before_login(server, domain):
    bob = server.user(f"bob@{domain}")
    bob.presence()
    bob.sync()
    client = server.client(f"alice@{domain}", "x").open()
    client.message(bob.bare_jid, "not logged in", id="m1")
    answer = client.wait(lambda e: e.get("id") == "m1")
    assert error_condition(answer) is not None
    client.send(E("iq", None, E("query", "jabber:iq:roster"), type="get", id="r1"))
    answer = client.wait(lambda e: e.get("id") == "r1")
    assert error_condition(answer) is not None
    bob.sync()
    assert bob.messages() == []
    client.close()
    bob.close()


# The admin's host


def test_admin_logs_in_with_the_admin_token(server):
    with server.admin() as admin:
        assert admin.jid.startswith(server.admin_jid)


def test_admin_token_is_nothing_on_a_tenants_host(server, domain):
    assert refused(server, f"alice@{domain}", server.admin_token) == "not-authorized"
    user = server.admin_jid.partition("@")[0]
    assert refused(server, f"{user}@{domain}", server.admin_token) == "not-authorized"


def test_nobody_but_the_admin_logs_in_on_the_admin_host(server):
    admin_host = server.admin_jid.partition("@")[2]
    for jid in (f"alice@{admin_host}", f"x{server.admin_jid}"):
        assert refused(server, jid, server.admin_token) == "not-authorized"
        assert "only the server admin" in last_warning(server, jid)
        assert refused(server, jid, server.login_token(jid)) == "not-authorized"


def test_login_token_for_the_admin_is_nothing(server):
    assert refused(server, server.admin_jid, server.login_token(server.admin_jid)) == "not-authorized"
    assert "not the admin token" in last_warning(server, server.admin_jid)


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "x", lambda t: t.upper(), lambda t: "x" * len(t)])
def test_wrong_admin_token(server, change):
    assert refused(server, server.admin_jid, change(server.admin_token)) == "not-authorized"


def test_predecessor_of_the_admin_token(new_server, unique_domain):
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    server = new_server(admin_token=new, admin_token_previous=old).start()
    domain = server.create_host(unique_domain())
    jid = f"alice@{domain}"
    for token in (old, new):
        server.client(server.admin_jid, token).connect().close()
        server.client(jid, mint(token, jid)).connect().close()
        assert server.hosts_api("GET", token=token).status_code == 200
    server.restart(admin_token_previous=None)
    assert refused(server, server.admin_jid, old) == "not-authorized"
    assert refused(server, jid, mint(old, jid)) == "not-authorized"
    assert server.hosts_api("GET", token=old).status_code == 401


@pytest.mark.provokes("SIPPO_XMPP_ADMIN_TOKEN_FILE")
def test_token_is_changed_without_a_restart(new_server, unique_domain):
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    server = new_server()
    path = server.folder / "token"
    path.write_text(old)
    server.settings = replace(server.settings, admin_token=old,
                              extra={"ADMIN_TOKEN": "", "ADMIN_TOKEN_FILE": str(path)})
    server.start()
    domain = server.create_host(unique_domain())
    jid = f"alice@{domain}"
    alice = server.user(jid)
    path.write_text("too short")
    server.reload()
    assert server.hosts_api("GET", token=old).status_code == 200  # a bad file changes nothing
    assert "SIPPO_XMPP_ADMIN_TOKEN_FILE" in server.log_text()
    path.write_text(new)
    server.reload()
    assert server.hosts_api("GET", token=old).status_code == 401
    assert server.hosts_api("GET", token=new).json() == [{"domain": domain}]
    server.client(server.admin_jid, new).connect().close()
    server.client(jid, mint(new, jid)).connect().close()
    assert refused(server, server.admin_jid, old) == "not-authorized"
    assert refused(server, jid, mint(old, jid)) == "not-authorized"
    alice.sync()  # sessions go on


def test_a_stream_has_five_tries(server, domain):
    client = server.client(f"alice@{domain}", "wrong").open()
    for _ in range(5):
        with pytest.raises(AuthFailed):
            client.authenticate()
    end = client.wait_closed()
    assert isinstance(end, StreamError) and end.condition == "policy-violation"


# Secrets, registration, TLS


def test_no_secret_is_logged_even_at_debug(server, domain):
    jid = f"alice@{domain}"
    good, bad = server.login_token(jid), server.login_token(jid, ttl=-5)
    server.client(jid, good).connect().close()
    refused(server, jid, bad)
    refused(server, server.admin_jid, server.admin_token + "x")
    log = server.log_text()
    for secret in (good, bad, server.admin_token):
        assert secret not in log
        assert secret.rpartition(".")[2] not in log
        assert base64.b64encode(f"\0alice\0{secret}".encode()).decode() not in log
    assert base64url(derive_key(server.admin_token)) not in log


@pytest.mark.parametrize("bound", [False, True])
def test_a_second_login_is_refused_and_not_logged(server, domain, bound):
    jid = f"alice@{domain}"
    token = server.login_token(jid)
    client = server.client(jid, token).open()
    client.authenticate()
    if bound:
        client.bind()
    with pytest.raises(AuthFailed) as failure:
        client.authenticate()
    assert failure.value.condition == "not-authorized"
    assert base64.b64encode(f"\0alice\0{token}".encode()).decode() not in server.log_text()
    if not bound:
        client.bind()
    client.sync()  # the session goes on
    client.close()


def test_no_registration_and_no_password_change(server, domain):
    client = server.client(f"alice@{domain}", "x").open()
    assert "register" not in serialize(client.features)
    client.close()
    with server.user(f"alice@{domain}") as alice:
        reply = alice.iq("set", E("query", "jabber:iq:register", E("username", "jabber:iq:register", "alice"),
                                  E("password", "jabber:iq:register", "new")), to=domain, check=False)
        assert reply.get("type") == "error"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for the loopback address, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256()))
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate_file, key_file


def test_wss(new_server, unique_domain, certificate):
    server = new_server(https_port=free_port(), certificate=certificate[0], key=certificate[1]).start()
    domain = server.create_host(unique_domain())
    jid = f"alice@{domain}"
    client = server.client(jid, server.login_token(jid), ssl=server.tls_context())
    client.url = server.wss_url
    with client.connect() as alice:
        alice.sync()
    bad = server.client(jid, "wrong", ssl=server.tls_context())
    bad.url = server.wss_url
    with pytest.raises(AuthFailed):
        bad.connect()
    assert "Traceback" not in server.log_text()


# No fit token, no server


UNFIT_TOKENS = [
    ("please_change_me", "placeholder"),
    ("x" * 31, "31 characters"),
    ("x" * 513, "513 characters"),
    ("pässword" * 8, "printable ASCII"),
    ("with a space " * 4, "printable ASCII"),
    ("tab\t" * 10, "printable ASCII"),
]


@pytest.mark.parametrize("variable, token, said", [
    ("ADMIN_TOKEN", "", "is not set"),
    ("ADMIN_TOKEN_FILE", "", "is not set"),
    *((variable, *unfit) for variable in ("ADMIN_TOKEN", "ADMIN_TOKEN_PREVIOUS", "ADMIN_TOKEN_FILE")
      for unfit in UNFIT_TOKENS),
])
def test_unfit_token_stops_the_start(new_server, variable, token, said):
    server = new_server()
    extra = {variable: token}
    if variable.endswith("_FILE"):
        path = server.folder / "token"
        path.write_text(token + "\n")
        extra = {"ADMIN_TOKEN": "", variable: str(path)}
    server.settings = replace(server.settings, extra=extra)
    assert server.launch().wait(20) == 1
    log = server.log_text()
    assert f"SIPPO_XMPP_{variable} " in log and said in log and "set it to" in log
    assert not token or token not in log


def test_token_from_a_file(new_server):
    server = new_server()
    token = "f" * 32
    path = server.folder / "token"
    path.write_text(token + "\n")
    server.settings = replace(server.settings, admin_token=token,
                              extra={"ADMIN_TOKEN": "", "ADMIN_TOKEN_FILE": str(path)})
    server.start()
    assert server.hosts() == []


@pytest.mark.parametrize("name, value", [
    ("ADMIN_TOKEN_FILE", "missing"), ("ADMIN_JID", "nobody"), ("LOG_LEVEL", "silly"), ("STORAGE", "mysql"),
    ("SESSION_MAX_AGE", "43201"), ("SESSION_MAX_AGE", "0"), ("SESSION_MAX_AGE", "1h"), ("OFFLINE_QUOTA", "-1"),
    ("ARCHIVE_RETENTION", "always"), ("HTTPS_PORT", "5281"), ("RESUME_TIMEOUT", "x"),
    pytest.param("SQLITE_SYNCHRONOUS", "off", marks=pytest.mark.sqlite), ("STATIC_HOSTS", "a.example,xn--bcher-kva.example"),
    ("ADMIN_JID", "sippo@xn--bcher-kva.example"),
])
def test_bad_option_stops_the_start(new_server, name, value):
    server = new_server(extra={name: value} | ({"ADMIN_TOKEN": ""} if name.endswith("_FILE") else {}))
    assert server.launch().wait(20) == 1
    assert f"SIPPO_XMPP_{name}" in server.log_text()


def test_login_to_an_unknown_host(server):
    client = server.client("alice@nowhere.example", "x")
    with pytest.raises(XmppError) as failure:
        client.open()
    assert failure.value.condition == "host-unknown"
