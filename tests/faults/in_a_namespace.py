"""Run by `test_rows_of_the_network` as root of a network namespace; prints what came of it as JSON.

`silent_resolver`: the system's resolver takes every question and answers none. `nobody_there`: SYNs
leave through a veth pair whose other end drops them. `nftables`: SYNs to one port of loopback are
dropped. Exit code 77: cannot be done here, for the reason on stderr.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from faultd.client import Faultd
from harness.process import Sidecar
from harness.rig import Rig, environ

NOBODY = "10.9.9.2"
DROPPED = 4444


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        give_up(f"{' '.join(words)}: {done.stderr.strip()}")


def give_up(why: str) -> None:
    sys.stderr.write(f"{why}\n")
    sys.exit(77)


def prepare(what: str, directory: Path, stack: ExitStack) -> tuple[str, int]:
    """Make the fault; the host and port that meet it."""
    run("ip", "link", "set", "lo", "up")
    if what == "silent_resolver":
        silent = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", 53))
        hosts = directory / "resolv.conf"
        hosts.write_text("nameserver 127.0.0.1\n")
        run("mount", "--bind", str(hosts), "/etc/resolv.conf")
        return "api.example.com", 443
    if what == "nobody_there":
        run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        run("ip", "link", "set", "v0", "arp", "off", "up")
        run("ip", "link", "set", "v1", "up")
        run("ip", "address", "add", "10.9.9.1/24", "dev", "v0")
        return NOBODY, 443
    if shutil.which("nft") is None:
        give_up("needs nft")
    run("nft", "add", "table", "inet", "t")
    run("nft", "add", "chain", "inet", "t", "c", "{ type filter hook input priority 0; }")
    run("nft", "add", "rule", "inet", "t", "c", "tcp", "dport", str(DROPPED), "drop")
    return "127.0.0.1", DROPPED


def main(what: str, directory: Path) -> None:
    with ExitStack() as stack:
        host, port = prepare(what, directory, stack)
        faultd = stack.enter_context(Faultd(directory))
        sections = [
            faultd.section("sns", endpoint_url=f"https://{host}:{port}"),
            faultd.section("twilio", base_url=f"https://{host}:{port}"),
            faultd.section("ses"),
        ]
        faultd.add("spare", "twilio")
        sections.append(faultd.section("spare"))
        lines = "\n".join(f"  {one}" for one in sections)
        config = directory / "providers.yaml"
        config.write_text(
            "server: {listen: '127.0.0.1:0'}\nbreaker: {enabled: false}\n"
            f"providers:\n{lines}\nchains:\n  sms: [sns, twilio, spare]\n  email: [ses]\n"
        )
        sidecar = Sidecar(config, environ(directory, faultd)).ready()
        stack.callback(sidecar.stop)
        sms = Rig(faultd, sidecar, "sms", ["sns", "twilio", "spare"])
        email = Rig(faultd, sidecar, "email", ["ses"])
        email.send()
        sent = sms.send()
        with ThreadPoolExecutor(60) as callers:
            crowd = [callers.submit(sms.send) for _ in range(50)]
            others = [callers.submit(email.send).result() for _ in range(5)]
            statuses = [call.result().answer.status for call in crowd]
        told = {
            "status": sent.answer.status,
            "attempts": sent.document["attempts"],
            "crowd": statuses,
            "others": [one.answer.status for one in others],
            "others_took": [one.seconds for one in others],
            "breaches": [*sms.breaches(), *email.breaches()],
        }
    sys.stdout.write(json.dumps(told))


main(sys.argv[1], Path(sys.argv[2]))
