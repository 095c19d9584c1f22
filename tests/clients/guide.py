"""The samples of docs/CLIENTS.md, each a JavaScript module, bundled with a library as a page's author would do it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from stack.paths import ROOT
from support.node_packages import FOLDER

GUIDE = ROOT / "docs" / "CLIENTS.md"


class GuideError(Exception):
    """The samples cannot be run; the message says why, and what to do."""


def samples(text: str) -> dict[str, str]:
    """All JavaScript in a guide, by file name: the first line of each block is a comment that names it."""
    found: dict[str, str] = {}
    for code in re.findall(r"^```js\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        name = re.match(r"// ([\w-]+\.js)\n", code)
        if name is None:
            raise GuideError(f"a block of JavaScript does not begin with its file's name, as `// login.js`:\n{code[:200]}")
        if name[1] in found:
            raise GuideError(f"{name[1]} is there twice")
        found[name[1]] = code
    return found


def cors_variable() -> str:
    """The variable by which the guide lets a page's origin call the local stack."""
    found = re.search(r"^(\w+)='http://\S+' scripts/run\b", GUIDE.read_text(), re.MULTILINE)
    if found is None:
        raise GuideError("the guide does not say how to allow a page's origin, in one line with scripts/run")
    return found[1]


def bundle(folder: Path, library: str) -> str:
    """One script with all samples and a library; a page has them as `guide`, by their exported names."""
    # Among the libraries: that is where Node looks for their packages.
    source = FOLDER / "samples" / f"{library}-{os.getpid()}"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    try:
        found = samples(GUIDE.read_text())
        for name, code in found.items():
            (source / name).write_text(code)
        others = [name for name in found if not name.startswith("with-")]
        wanted = [f"with-{library}.js", *others]
        (source / "page.js").write_text("".join(f'export * from "./{name}";\n' for name in wanted))
        # @xmpp/client's look-up of servers, which a browser does not do; the guide says so.
        (source / "no-dns.js").write_text("export default {};\n")
        target = folder / f"{library}.js"
        done = subprocess.run(
            [FOLDER / "node_modules" / ".bin" / "esbuild", source / "page.js", "--bundle", "--format=iife",
             "--global-name=guide", f"--alias:node:dns={source / 'no-dns.js'}", "--target=chrome110",
             "--sourcemap=inline", "--log-level=warning", f"--outfile={target}"],
            capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise GuideError(f"the samples for {library} cannot be bundled:\n{done.stderr}")
        return target.name
    finally:
        shutil.rmtree(source, ignore_errors=True)
