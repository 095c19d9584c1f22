"""One whole local stack that the scripts are tried on, as scripts/run has one."""

from __future__ import annotations

from support.fixtures import admin, platform, room  # noqa: F401
