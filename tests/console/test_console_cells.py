"""The console of a stack with several XMPP servers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cells.conftest import Tenant, create_tenant
from console_page import ConsolePage
from stack.paths import ROOT
from support.platform import Platform


@pytest.fixture(scope="module")
def platform(folder: Path) -> Iterator[Platform]:
    """Two of them."""
    platform = Platform(folder / "console-cells", None, has_console=True, cells=2).start()
    try:
        platform.stack.start_console()
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="module")
def tenants(platform: Platform) -> list[Tenant]:
    """One on each."""
    found = {tenant.cell: tenant for tenant in (create_tenant(platform) for _ in range(3))}
    assert found.keys() == set(platform.stack.prosodies)
    return [found[cell] for cell in platform.stack.prosodies]


def test_users_of_two_cells_are_side_by_side(console: Callable[..., ConsolePage], tenants: list[Tenant]):
    page = console("chat")
    for seat, tenant in enumerate(tenants, 1):
        page.log_in(seat, f"alice@{tenant.domain}")


def test_each_tenant_has_its_cell_and_a_cells_process_is_killed(console: Callable[..., ConsolePage], tenants: list[Tenant]):
    page = console("system")
    for tenant in tenants:
        page.wait_text(f'tr[data-tenant="{tenant.domain}"] td', tenant.cell)
        page.wait_text(f'tr[data-process="{tenant.cell}"] .pill', "up")
    page.click("Kill prosody-2")
    page.wait_text(".happenings li", "prosody-2 answers again", 40)
    assert not page.run("return text('.happenings li').some((one) => one.includes('prosody answers again'))")


def test_a_room_is_asked_for_where_it_is(console: Callable[..., ConsolePage], tenants: list[Tenant], platform: Platform):
    rooms = [tenant.create_group(["alice"]) for tenant in tenants]
    platform.wait_handled("users-group-created")
    page = console("rooms")
    for room in rooms:
        page.show(f"rooms/{room}")
        # And not: "not on the XMPP server".
        page.wait("text('.room-head .pill').includes('on the XMPP server')")


def test_status_has_the_console(platform: Platform):
    done = subprocess.run([str(ROOT / "scripts/status"), "--state", str(platform.paths.state)], capture_output=True, text=True,
                          timeout=60, check=False)
    assert any(line.split() == ["console", "up"] for line in done.stdout.splitlines()), done.stdout
