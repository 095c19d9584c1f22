"""The stanza fuzzer finds what our modules mend, when the mend is taken out: a server of its own for each, as it would be
without. The seeds are chosen so that it does not take long."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from fuzz.stanzas import generator
from fuzz.stanzas.findings import Finding
from fuzz.stanzas.round import Round
from stack.paths import ROOT

MOST = 1500
"""Actions at most."""


@dataclass(frozen=True)
class Fault:
    """What it is without some modules of ours, and how the fuzzer tells of it."""

    without: tuple[str, ...]
    areas: tuple[str, ...]
    oracle: str
    pattern: str
    """Found in what the finding says."""


FAULTS = {
    "headers of a client's own": Fault(("sippo_http_file_share_limits", "sippo_http_file_share_download"), ("uploads",), "http",
                                       "X-Forged|no media type|no header"),
    "a request for voice from outside": Fault(("sippo_muc_voice",), ("inviting", "entering"), "log", r"request\.lib"),
    "a photo that is no base64": Fault(("sippo_pep_payloads",), ("vcard",), "log", "mod_vcard_legacy"),
    "bookmarks of an occupant": Fault(("sippo_account_owner",), ("bookmarks", "entering"), "log", "mod_bookmarks"),
    "a resumption with an odd count": Fault(("sippo_smacks_counts",), ("elements", "cuts"), "log", "smqueue|mod_smacks"),
    "a login token in the log": Fault(("sippo_errors",), ("elements",), "log", "it has a login token"),
    "a made-up id in an archive": Fault(("sippo_stanza_id",), ("messages",), "forged", "an id in an archive"),
    "a room's word in a group message": Fault(("sippo_muc_forgeries",), ("talking", "entering"), "forged",
                                              "muc#user of a client"),
    "another tenant's vCard": Fault(("sippo_tenant_isolation",), ("vcard",), "secret", "canary"),
}


def server_without(folder: Path, modules: tuple[str, ...]) -> Path:
    """The configuration of a server without these modules of ours, in a folder of its own."""
    shutil.copytree(ROOT / "xmpp-server", folder)
    config = folder / "prosody.cfg.lua"
    text = config.read_text()
    for module in modules:
        text, count = re.subn(rf'"{module}",?', "", text)
        assert count, f"the configuration names no {module}"
    config.write_text(text)
    return config


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(folder: Path, name: str):
    fault = FAULTS[name]
    config = server_without(folder / re.sub(r"\W", "-", name), fault.without)
    one = Looking(folder / f"round-{config.parent.name}", fault, config=config)
    report = one.run(generator.action(1, position, list(fault.areas)) for position in range(MOST))
    assert any(one.is_it(found) for found in report.findings), [str(found) for found in report.findings]


class Looking(Round):
    """A round that is over when it has found its fault."""

    def __init__(self, folder: Path, fault: Fault, **settings: object) -> None:
        super().__init__(folder, **settings)  # type: ignore[arg-type]
        self.fault = fault

    def is_it(self, finding: Finding) -> bool:
        """Whether this is the fault."""
        return finding.oracle == self.fault.oracle and re.search(self.fault.pattern, finding.what) is not None

    def _is_over(self, began: float) -> bool:
        return any(self.is_it(found) for found in self.findings.all) or super()._is_over(began)

    def _look_at_memory(self, before: int) -> None:
        """Another test's."""
