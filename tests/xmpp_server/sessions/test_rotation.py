"""The admin token is changed as docs/DEPLOY.md has it for ECS: the new one is accepted besides first, and at no time is one refused
that the functions may be using."""

from __future__ import annotations

import secrets

from support.login_tokens import mint
from support.prosody import Server

DOMAIN = "rotated.example"
USER = f"alice@{DOMAIN}"


def accepts(server: Server, token: str) -> bool:
    """Whether a function that has this token can work: hosts API, the service's session, a user's login token."""
    if server.hosts_api("GET", token=token).status_code != 200:
        return False
    server.client(server.admin_jid, token).connect().close()
    server.client(USER, mint(token, USER)).connect().close()
    return True


def test_no_token_that_may_be_in_use_is_refused(new_server):
    old, unknown, new = (secrets.token_hex(32) for _ in range(3))
    server = new_server(admin_token=old, admin_token_previous=unknown).start()
    server.create_host(DOMAIN)
    assert accepts(server, old) and not accepts(server, new)
    # The second secret is the new one, and the task begins anew: before and after the first secret is changed, too.
    server.restart(admin_token_previous=new)
    assert accepts(server, old) and accepts(server, new)
    # Whenever it begins anew from now on, both secrets are the same.
    server.restart(admin_token=new)
    assert accepts(server, new) and not accepts(server, old)
