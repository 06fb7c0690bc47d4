"""The matrix's rows N2 and N4: names that do not resolve, and packets that nobody answers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from faultd.client import CHANNELS
from harness import oracle
from harness.rig import Rig

CONNECT = 1.5
"""Seconds for DNS, TCP and TLS together, by the documents."""
TESTS = Path(__file__).parents[1]


@pytest.fixture
def chains_at(faultd, begin):
    """A sidecar whose providers of every kind are elsewhere, each chain with a healthy spare."""

    def make(host, port, more=""):
        sections, chains = [], {"sms": [], "email": []}
        for kind, channel in CHANNELS.items():
            section = faultd.section(kind, tls=kind != "smtp")
            section = section.replace(f"localhost:{faultd.port(kind, tls=True)}", f"{host}:{port}")
            section = section.replace('"host": "localhost"', f'"host": "{host}"')
            section = section.replace(f'"port": {faultd.port(kind)}', f'"port": {port}')
            assert host in section
            sections.append(section)
            chains[channel].append(kind)
        for channel, kind in (("sms", "sns"), ("email", "ses")):
            spare = f"spare_{channel}"
            if spare not in faultd.providers:
                faultd.add(spare, kind)
            sections.append(faultd.section(spare))
            chains[channel].append(spare)
        lines = [f"  {channel}: {chain}" for channel, chain in chains.items()]
        text = "\n".join([more, "providers:", *(f"  {one}" for one in sections), "chains:", *lines])
        sidecar = begin(text + "\n")
        return [Rig(faultd, sidecar, channel, chain) for channel, chain in chains.items()]

    return make


def test_n2_a_name_that_does_not_resolve_is_passed_by_and_starves_nobody(chains_at):
    more = "breaker: {enabled: false}"
    sms, email = chains_at("no-such-host.invalid", 443, more)
    for rig in (sms, email):
        sent = rig.send()
        *absent, spare = rig.chain
        assert sent.answer.trail == [*((one, "unavailable") for one in absent), (spare, "accepted")]
        for attempt in sent.document["attempts"][:-1]:
            # Without a resolver in reach there is no answer, which is the row's other half.
            assert attempt["reason"] in (
                "the provider's host name does not resolve",
                "no connection within the time for connecting",
            )
            assert attempt["seconds"] < CONNECT + oracle.BUSY_MACHINE
        assert sent.document["duplicate_possible"] is False
    with ThreadPoolExecutor(60) as callers:
        waiting = [callers.submit(sms.send) for _ in range(50)]
        between = [callers.submit(email.send) for _ in range(5)]
        answers = [call.result().answer for call in [*waiting, *between]]
    assert {answer.status for answer in answers} == {200}
    assert [*sms.breaches(), *email.breaches()] == []


@pytest.fixture
def full_backlog():
    """The port of a listener whose backlog is full: the kernel drops every SYN from now on."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(16):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(address)
            except TimeoutError:
                break
        else:
            pytest.skip("this kernel takes connections beyond the backlog")
        yield address[1]


def test_n4_a_dropped_syn_costs_the_time_for_connecting_and_no_more(full_backlog, chains_at):
    for rig in chains_at("localhost", full_backlog):
        sent = rig.send()
        *mute, spare = rig.chain
        assert sent.answer.trail == [*((one, "unavailable") for one in mute), (spare, "accepted")]
        for attempt in sent.document["attempts"][:-1]:
            assert attempt["reason"] == "no connection within the time for connecting"
            assert CONNECT - 0.2 < attempt["seconds"] < CONNECT + oracle.BUSY_MACHINE
            assert attempt["circuit"] == "closed 1/5"
        assert sent.document["duplicate_possible"] is False
        assert rig.breaches() == []


# In a network of its own: a resolver that never answers, and addresses behind which nobody is.


def in_a_namespace(what, directory):
    """Run `faults_in_a_namespace.py`, where a process may have a network of its own."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if unshare is None or ip is None:
        pytest.skip("needs unshare and ip")
    flags = [unshare, "--user", "--map-root-user", "--net", "--mount", "--kill-child"]
    allowed = subprocess.run(
        [*flags, ip, "link", "add", "v0", "type", "veth", "peer", "name", "v1"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    if allowed.returncode != 0:
        pytest.skip("may not make a network namespace with a veth pair here")
    program = str(Path(__file__).parent / "in_a_namespace.py")
    done = subprocess.run(
        [*flags, sys.executable, program, what, str(directory)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", ["silent_resolver", "nobody_there", "nftables"])
def test_n2_and_n4_in_a_network_of_its_own(tmp_path, what):
    told = in_a_namespace(what, tmp_path)
    assert told["breaches"] == []
    assert told["status"] == 200
    *mute, spare = told["attempts"]
    assert spare["outcome"] == "accepted"
    assert len(mute) == 2
    for attempt in mute:
        assert attempt["outcome"] == "unavailable"
        assert attempt["reason"] == "no connection within the time for connecting"
        assert CONNECT - 0.2 < attempt["seconds"] < CONNECT + oracle.BUSY_MACHINE
    # Fifty of them at once, and meanwhile the other chain.
    assert set(told["crowd"]) == {200}
    assert set(told["others"]) == {200}
    assert min(told["others_took"]) < CONNECT
