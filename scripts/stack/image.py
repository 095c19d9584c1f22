"""What the Dockerfiles of images/ say, done without a container engine: a layer over a Debian root, and programs started in it.

Needs root and Linux's overlay file system: what runs in an image is started through chroot, in a mount namespace of its own.
Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from stack import debian, debian_root
from stack.paths import ROOT

IMAGES = ROOT / "target" / "image-roots"
BASES = {"debian:13-slim": "13"}
"""Releases that debootstrap makes, by what FROM names."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OPTION = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")

ENTER = """set -e
root=$1; options=$2; user=$3; folder=$4; shift 4
mount -t overlay image -o "$options" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for one in null zero full random urandom; do : > "$root/dev/$one"; mount --bind "/dev/$one" "$root/dev/$one"; done
ln -s /proc/self/fd "$root/dev/fd"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done; shift
exec /usr/sbin/chroot --userspec="$user" "$root" /usr/bin/env --chdir="$folder" "$@"
"""
"""Shell: becomes the command in the image, as an engine would start it; pairs of folders, here and there, are shown inside."""


class ImageError(Exception):
    """A Dockerfile says what is not understood, or cannot be done here; the message says which line and why."""


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile: `COPY`, its options, what follows them."""

    name: str
    options: dict[str, str]
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows as words: a JSON list, or separated by spaces."""
        if self.rest.startswith("["):
            return json.loads(self.rest)
        return shlex.split(self.rest)


# Fields: one for each thing that a Dockerfile says of a container.
@dataclass
class Image:
    """An image that was made: its layers, and how its program is started."""

    name: str
    base: Path
    layer: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "0:0"
    folder: str = "/"
    volumes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def command(self, arguments: list[str] | None = None, *, environment: dict[str, str] | None = None,
                shown: dict[Path, str] | None = None) -> list[str]:
        """The image's program, or `arguments` in its place, as a command for here. The root is read-only.

        `shown`: folders that are mounted inside, such as one for each of `volumes`, and writable.
        """
        return self._enter(arguments or self.entrypoint, self.user, environment or {}, shown or {}, writable=False)

    def folders_for_volumes(self, parent: Path | None = None) -> dict[Path, str]:
        """A folder here for each of its volumes, the program's own: for `shown`. Below `parent`, or else beside the layer."""
        found = {}
        for volume in self.volumes:
            here = (parent or self.layer.parent / "volumes") / volume.strip("/")
            here.mkdir(parents=True, exist_ok=True)
            os.chown(here, *map(int, self.user.split(":")))
            found[here.resolve()] = volume
        return found

    def run(self, script: str, arguments: dict[str, str]) -> None:
        """What RUN does: a shell's script that changes the layer."""
        # An engine lends its network's files. In runlevel 1 Debian's packages start no service.
        files = {Path("/etc", file): f"/etc/{file}" for file in ("resolv.conf", "hosts") if Path("/etc", file).exists()}
        environment = arguments | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        debian.run(self._enter(["/bin/sh", "-ec", script], self.user, environment, files, writable=True))

    def _enter(self, arguments: list[str], user: str, environment: dict[str, str], shown: dict[Path, str], *,
               writable: bool) -> list[str]:
        for folder in ("work", "root", "empty"):
            (self.layer.parent / folder).mkdir(exist_ok=True)
        options = f"lowerdir={self.base},upperdir={self.layer},workdir={self.layer.parent / 'work'}" if writable \
            else f"lowerdir={self.layer}:{self.base}"
        pairs = [part for here, there in shown.items() for part in (str(here), there)]
        variables = [f"{name}={value}" for name, value in (self.environment | environment).items()]
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", str(self.layer.parent / "root"), options,
                user, self.folder, *pairs, "--", "-i", *variables, *arguments]

    def packages(self) -> list[dict[str, str]]:
        """Debian's packages in it: name, version, architecture, licence's file."""
        text = (self.layer / "var/lib/dpkg/status" if (self.layer / "var/lib/dpkg/status").exists()
                else self.base / "var/lib/dpkg/status").read_text()
        found = []
        for paragraph in text.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|Architecture|Status|Source): (.*)$", paragraph, re.MULTILINE))
            if fields.get("Status") == "install ok installed":
                found.append({key.lower(): value for key, value in fields.items() if key != "Status"})
        return found


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        options, rest = {}, rest.strip()
        while match := OPTION.match(rest):
            options[match[1]], rest = match[2] or "", rest[match.end():]
        found.append(Instruction(name.upper(), options, rest))
    return found


def architecture() -> str:
    """This machine's, as Dockerfiles have it: `amd64`, `arm64`."""
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def build(name: str, context: Path = ROOT) -> Image:
    """Makes images/`name` of the files below `context`, unless it is there already. ImageError, DebianError: it cannot be."""
    if os.geteuid() != 0:
        raise debian.DebianError("only root can make an image without an engine: chroot and mount need it")
    instructions = parse((ROOT / "images" / name / "Dockerfile").read_text())
    if not instructions or instructions[0].name != "FROM" or instructions[0].rest not in BASES:
        raise ImageError(f"images/{name}/Dockerfile does not begin with FROM and one of {', '.join(BASES)}")
    folder = IMAGES / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        base = debian_root.bare(BASES[instructions[0].rest])
        wanted, stamp = _digest(instructions, context), folder / "made"
        made = stamp.exists() and stamp.read_text() == wanted
        if not made:
            stamp.unlink(missing_ok=True)
            for part in ("layer", "work"):
                shutil.rmtree(folder / part, ignore_errors=True)
        (folder / "layer").mkdir(exist_ok=True)
        image = Image(name, base, folder / "layer")
        _Builder(image, context, changes=not made).follow(instructions[1:])
        stamp.write_text(wanted)
    return image


def _digest(instructions: list[Instruction], context: Path) -> str:
    """Of all that an image is made of."""
    digest = hashlib.sha256(repr(instructions).encode())
    for one in instructions:
        for source in one.words[:-1] if one.name == "COPY" else ():
            path = context / source.replace("${TARGETARCH}", architecture())
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    digest.update(str(file.relative_to(context)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


class _Builder:
    """Follows instructions; without `changes` only those that say how the program is started."""

    def __init__(self, image: Image, context: Path, *, changes: bool) -> None:
        self._image, self._context, self._changes = image, context, changes
        self._arguments: dict[str, str] = {}

    def follow(self, instructions: list[Instruction]) -> None:
        for one in instructions:
            if self._does(one) is None:
                raise ImageError(f"images/{self._image.name}/Dockerfile: {one.name} {one.rest}: not understood by scripts/image")

    def _does(self, one: Instruction) -> bool | None:
        image = self._image
        match one.name:
            case "RUN" if not one.options:
                if self._changes:
                    image.run(one.rest, self._arguments)
            case "COPY" if one.options.keys() <= {"chmod", "chown"}:
                if self._changes:
                    self._copy(one)
            case "ARG" if one.rest == "TARGETARCH":
                self._arguments["TARGETARCH"] = architecture()
            case "ENV":
                image.environment |= dict(word.split("=", 1) for word in one.words)
            case "LABEL":
                image.labels |= dict(word.split("=", 1) for word in one.words)
            case "USER" if re.fullmatch(r"\d+:\d+", one.rest):
                image.user = one.rest
            case "WORKDIR":
                image.folder = one.rest
            case "VOLUME":
                image.volumes += one.words
            case "EXPOSE":
                image.ports += one.words
            case "ENTRYPOINT" if one.rest.startswith("["):
                image.entrypoint = one.words
            case "HEALTHCHECK" if one.rest.startswith("CMD ["):
                image.health_check = json.loads(one.rest.removeprefix("CMD "))
            case _:
                return None
        return True

    def _copy(self, one: Instruction) -> None:
        *sources, target = [word.replace("${TARGETARCH}", self._arguments.get("TARGETARCH", "")) for word in one.words]
        into_folder = target.endswith("/")
        there = self._image.layer / target.strip("/")
        for source in sources:
            here = self._context / source
            if not here.exists():
                raise ImageError(f"images/{self._image.name}/Dockerfile copies {source}, which is not there; see docs/DEPLOY.md")
            if here.is_dir():
                shutil.copytree(here, there, dirs_exist_ok=True)
                copied = [there, *there.rglob("*")]
            else:
                file = there / here.name if into_folder else there
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(here, file)
                copied = [file]
                if not into_folder:
                    _readable(file.parent, self._image.layer)
            for path in copied:
                os.chown(path, *map(int, one.options.get("chown", "0:0").split(":")))
                path.chmod(int(one.options["chmod"], 8) if "chmod" in one.options else 0o755 if path.is_dir() else 0o644)
            _readable(there if here.is_dir() or into_folder else there.parent, self._image.layer)


def _readable(folder: Path, layer: Path) -> None:
    """Folders that COPY makes are everybody's to enter, whatever this process's umask."""
    while folder != layer:
        folder.chmod(0o755)
        folder = folder.parent


def document(image: Image) -> dict:
    """What the image is made of as CycloneDX: Debian's packages; what is linked into our program is scripts/sbom's."""
    components = [{
        "type": "library", "bom-ref": f"{one['package']}@{one['version']}", "name": one["package"], "version": one["version"],
        "purl": f"pkg:deb/debian/{one['package']}@{one['version'].replace('+', '%2B').replace(':', '%3A')}?arch={one['architecture']}"}
        for one in image.packages()]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": image.name, "name": f"sippo-xmpp-{image.name}"}},
        "components": sorted(components, key=lambda one: one["bom-ref"])}


def context_with(binaries: dict[str, Path], folder: Path) -> Path:
    """A context like the repository's, with programs that were built elsewhere: `binaries` by their place in it."""
    for source in ("config", "images", "xmpp-server"):
        (folder / source).symlink_to(ROOT / source)
    for place, binary in binaries.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).symlink_to(binary)
    return folder
