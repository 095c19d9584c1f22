"""The servers that scripts/bench measures against, and its four parts on them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bridges
import from_publish
import measures
import scale
from peers_install import HELLO, HELLO_FOLDER, NODE_FOLDER, PeerError, install_node, install_python
from whole import Whole

from stack import aws, bootstrap, bridge, functions, prosody
from stack.broker import Broker
from stack.command_line import duration, waiting
from stack.dead_letters import Queues
from stack.event_types import EVENT_FUNCTIONS, RESYNC, ROUTING_KEYS
from stack.fake_aws import QUEUE_PREFIX
from stack.functions import REST_FUNCTIONS
from stack.paths import BINARIES, RELEASE, ROOT, TARGET, StackPaths
from stack.ports import Ports, free_port, is_free
from stack.process import Process
from stack.rabbitmq import EXCHANGE
from stack.stack import DOMAIN, PARTNER, Stack
from stack.supervisor import Supervisor
from support import cargo, second_aws
from support.xmpp import Client, E, XmppError

DEPLOYED = [*REST_FUNCTIONS, *EVENT_FUNCTIONS, RESYNC, "bridge-amazon-mq"]
USER = "alice"
CONTACTS = 20
MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
ROSTER_GROUP = "urn:quobis:sippo:roster-group:0"


def build(parts: list[str], deployed: list[str], smoke: bool) -> None:
    """Builds what the parts need: optimised as it is deployed, or the programs that scripts/test has."""
    if smoke:
        bootstrap.build("-p", "functions", "-p", "bridge")
        # With all packages and features, as scripts/test builds its tests: else all would be compiled once more.
        subprocess.run([*cargo.TEST, "--quiet", "--no-run", "--test", "program"], cwd=ROOT, check=True)
        return
    bootstrap.build("-p", "sippo-xmpp-bench", profile="release")
    programs = [*(deployed if "functions" in parts else []), *(["bridge"] if "bridge" in parts else [])]
    if programs:
        # With both packages always, as cargo lambda builds: what is selected decides which features are compiled in.
        bootstrap.build("-p", "functions", "-p", "bridge",
                        *(word for name in programs for word in ("--bin", name)), profile="release")
    if {"rooms", "events"} & set(parts):
        # The functions and the bridge as scripts/run has them: fat LTO would take minutes for each.
        bootstrap.build("-p", "functions", "-p", "bridge")


def run(parts: list[str], deployed: list[str], *, smoke: bool, with_build: bool) -> None:
    """Builds and measures; events also with other stand-ins for SQS and DynamoDB."""
    if with_build:
        build(parts, deployed, smoke)
    run_on_a_stack(lambda stack: Bench(stack, smoke).run(parts, deployed))
    if "events" in parts and has_second_aws(smoke):
        with second_aws.used():
            run_on_a_stack(lambda stack: Bench(stack, smoke, "fauxqs and dynalite").run(["events"], deployed))


def has_second_aws(smoke: bool) -> bool:
    """Whether it can be measured with the other stand-ins; where these cannot be had a smoke run leaves them out, with the reason."""
    try:
        second_aws.install()
    except OSError as error:
        if not smoke:
            raise PeerError(str(error)) from error
        print(f"  left out: fauxqs and dynalite: {error}", flush=True)
        return False
    return True


def run_on_a_stack(measure: Callable[[Stack], None]) -> None:
    """A new one each time: what an earlier run has left would be handled in the midst of this one."""
    base = ROOT / "target" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    paths = StackPaths(Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=base)))
    paths.create()
    supervisor = Supervisor(paths)
    try:
        measure(Stack(paths, supervisor, Ports.any_free()))
    except BaseException:
        print(f"bench: logs are in {paths.logs}", file=sys.stderr)
        raise
    finally:
        supervisor.stop()
    shutil.rmtree(paths.state)


@dataclass
class Bench:
    """One run of some parts."""

    stack: Stack
    smoke: bool
    stand_ins: str = "the stack's own SQS and DynamoDB"

    def __post_init__(self) -> None:
        self.scale = scale.SMOKE if self.smoke else scale.FULL
        self.tcp_port = free_port()
        self.announced_at = 0.0
        own, deployed = own_program(smoke=self.smoke).parent, BINARIES if self.smoke else RELEASE
        self.folders = {name: own for name in ("sippo-xmpp-bench", "hello-world")} | {
            name: deployed for name in (*DEPLOYED, "bridge")}

    def program(self, name: str) -> Path:
        """A program that was built."""
        return self.folders[name] / name

    def run(self, parts: list[str], deployed: list[str]) -> None:
        """Before there are other processes to share the machine with: session and functions."""
        stack = self.stack
        self.announce("starting servers")
        stack.supervisor.start(with_tcp(prosody.process(stack.prosody), self.tcp_port, stack.paths.state / "xmpp"))
        stack.create_domain(DOMAIN)
        self.fill_list()
        if parts != ["session"]:
            stack.start_fake_aws()
        if "session" in parts:
            self.announce("session")
            self.measure("session")
        if "functions" in parts:
            self.announce("functions")
            self.measure("functions", self.functions_environment(["hello-world", *deployed]))
        if {"rooms", "events", "bridge"} & set(parts):
            with waiting(lambda: "starting the broker"):
                stack.start_broker()
        if "rooms" in parts:
            self.announce("rooms")
            self.rooms()
        if "events" in parts:
            self.announce("events")
            self.events()
        if "bridge" in parts:
            self.announce("bridge")
            self.bridges()

    def announce(self, what: str) -> None:
        """Tells in a terminal what comes next. The program prints there itself, so no line that changes may be there."""
        if sys.stderr.isatty():
            now = time.monotonic()
            before = f" (what was before took {duration(now - self.announced_at)})" if self.announced_at else ""
            self.announced_at = now
            print(f"{time.strftime('%H:%M:%S')} {what}{before}", file=sys.stderr, flush=True)

    def environment(self) -> dict[str, str]:
        """What the program reads."""
        stack = self.stack
        return os.environ | stack.service_environment() | {
            "BENCH_ADMIN_JID": stack.prosody.admin_jid,
            "BENCH_DOMAIN": DOMAIN,
            "BENCH_USER": f"{USER}@{DOMAIN}",
            "BENCH_ACCESS_TOKEN": stack.issuer.token(USER, DOMAIN, ["chat"]),
        } | ({"BENCH_SMOKE": "1"} if self.smoke else {})

    def measure(self, part: str, environment: dict[str, str] | None = None) -> None:
        """Has the program measure a part of its own."""
        subprocess.run([self.program("sippo-xmpp-bench"), part], env=self.environment() | (environment or {}), check=True)

    def has(self, what: str, install: Callable[[], None]) -> bool:
        """Whether a peer can be measured; what cannot be installed is left out of a smoke run, with the reason."""
        try:
            install()
        except (PeerError, bootstrap.BootstrapError) as error:
            if not self.smoke:
                raise
            print(f"  left out: {what}: {error}", flush=True)
            return False
        return True

    def fill_list(self) -> None:
        """Gives the user a chat list of ordinary length."""
        with self.admin() as admin:
            for number in range(CONTACTS):
                contact = E("add", ROSTER_GROUP, jid=f"contact{number}@{DOMAIN}")
                admin.iq("set", E("group", ROSTER_GROUP, contact, name="individualChatList", max="5000"), to=f"{USER}@{DOMAIN}")

    def admin(self) -> Client:
        """A session of the server admin's."""
        return Client(self.stack.prosody.ws_url, self.stack.prosody.admin_jid, self.stack.admin_token)

    def functions_environment(self, names: list[str]) -> dict[str, str]:
        """Prepares the peers and the local stack for the functions' work; what the program has to be told."""
        self.stack.create_domain(PARTNER)
        folder = self.stack.paths.state / "programs"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(self.program(name).resolve())
        sizes: dict[str, Any] = {name: [self.program(name).stat().st_size, zipped(self.program(name), "bootstrap")]
                                 for name in names}
        sizes["hello-world in Rust"] = sizes["hello-world"]
        if self.has("hello-world in Node", lambda: install_node(HELLO, HELLO_FOLDER, only_if_there=self.smoke)):
            sizes["hello-world in Node"] = [None, zipped(HELLO / "index.mjs", "index.mjs")]
        return {
            "BENCH_FUNCTIONS": str(folder),
            "BENCH_NODE_HELLO": str(HELLO_FOLDER),
            "BENCH_SIZES": json.dumps(sizes),
            # For the bridge's function; it needs no broker for events that have a queue.
            "SIPPO_BROKER__URL": "amqp://127.0.0.1:1",
        }

    def events(self) -> None:
        """Joins from publishing on, and events that come alone."""
        amount = from_publish.SMOKE if self.smoke else from_publish.FULL
        with self.sitting() as sitting:
            sitting.scale, sitting.prefix = dataclasses.replace(sitting.scale, windows=amount.windows), "event"
            from_publish.measure(sitting, amount, self.stand_ins)

    def rooms(self) -> None:
        """Rooms, beside peers."""
        with self.sitting() as sitting:
            measures.measure(sitting)

    @contextlib.contextmanager
    def sitting(self) -> Iterator[measures.Sitting]:
        """All that makes rooms: one session of ours, the whole stack from publishing on, peers."""
        stack = self.stack
        peers = [name for name, install in (("@xmpp/client", install_node), ("slixmpp", install_python)) if self.has(name, install)]
        for process in (functions.process(stack.functions, stack.paths), stack.poller(), bridge.process(stack.bridge)):
            stack.supervisor.start(process)
        stack.settle()
        with self.admin() as admin, Broker(stack.rabbitmq.url) as broker:
            def count(room: str) -> int:
                query = E("query", MUC_ADMIN, E("item", MUC_ADMIN, affiliation="member"))
                try:
                    return len(admin.iq("get", query, to=room).findall(f".//{{{MUC_ADMIN}}}item"))
                except XmppError:
                    return 0  # no such room yet

            queues = Queues(stack.ports.queue, stack.fake_aws.queue_url_prefix)
            server = measures.Server(DOMAIN, stack.prosody.ws_url, self.tcp_port, stack.prosody.admin_jid, stack.admin_token)
            with measures.sitting(server, [str(self.program("sippo-xmpp-bench")), "rooms"], self.environment(),
                                  count, Whole(broker, EXCHANGE, queues, count), peers, self.scale) as sitting:
                yield sitting
        for name in ("bridge", "poller", "functions"):
            stack.supervisor.stop_one(name)

    def bridges(self) -> None:
        """The bridge, beside one on Node: the stack's broker and ledger, and a faster fake SQS."""
        stack = self.stack
        with_node = self.has("bridge on Node", install_node)
        functions_by_key = {key: function for function, key in ROUTING_KEYS.items()}
        url = self.start_fast_sqs() if with_node else stack.fake_aws.url
        queues = bridges.create_queues(url, QUEUE_PREFIX, list(functions_by_key.values()))
        target = bridges.Target(stack.rabbitmq.url, url, queues, functions_by_key)
        environment = stack.bridge.environment | {
            "SIPPO_QUEUES__URL_PREFIX": target.url_prefix,
            "SIPPO_BRIDGE__LISTEN": f"127.0.0.1:{stack.ports.bridge_health}"}
        node = ["node", str(NODE_FOLDER / "node_bridge.mjs")] if with_node else None
        bridges.measure(target, ([str(self.program("bridge"))], environment), node, stack.paths.logs / "bridges.log", self.scale)

    def start_fast_sqs(self) -> str:
        """fauxqs: the stack's own would be what is measured. Its URL."""
        port = free_port()
        self.stack.supervisor.start(Process(
            name="fauxqs", argv=["node", str(NODE_FOLDER / "fauxqs.mjs")],
            ready=lambda: not is_free(port), ports=(port,),
            env={"FAUXQS_PORT": str(port), "FAUXQS_DEFAULT_REGION": aws.REGION}))
        return f"http://127.0.0.1:{port}"


def own_program(*, smoke: bool) -> Path:
    """What `build` makes of tests/bench/src."""
    return (TARGET / "debug" if smoke else RELEASE) / "sippo-xmpp-bench"


def zipped(path: Path, name: str) -> int:
    """Bytes of what goes to Lambda."""
    with tempfile.TemporaryFile() as archive:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(path, name)
        return archive.tell()


def with_tcp(process: Process, port: int, folder: Path) -> Process:
    """The same Prosody, but it listens for plain XMPP over TCP as well: slixmpp knows nothing else."""
    closed = "c2s_ports, c2s_direct_tls_ports, s2s_ports, component_ports = {}, {}, {}, {};"
    opened = closed.replace("= {}", f"= {{ {port} }}") + (
        ' c2s_interfaces = { "127.0.0.1" }; c2s_require_encryption = false; allow_unencrypted_plain_auth = true;')
    text = prosody.CONFIG.read_text()
    if closed not in text:
        raise RuntimeError(f"{prosody.CONFIG.name} has no line `{closed}`; have with_tcp() look for what is there now")
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / "modules"
    if not modules.is_symlink():
        modules.symlink_to(prosody.CONFIG.parent / "modules")
    (folder / prosody.CONFIG.name).write_text(text.replace(closed, opened))
    return dataclasses.replace(process, argv=[*process.argv[:-1], str(folder / prosody.CONFIG.name)])
