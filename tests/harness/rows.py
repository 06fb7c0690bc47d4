"""What the rows of the matrix of faults have in common, whatever the provider speaks."""

from __future__ import annotations

from typing import Any

from harness.rig import Rig, Sent


def hit(rig: Rig, fault: str, **options: Any) -> tuple[Sent, dict[str, Any]]:
    """Break the first provider, send, and give the send with what the first said."""
    rig.faultd.set(rig.chain[0], fault, **options)
    sent = rig.send()
    return sent, sent.document["attempts"][0]


def failed_over(rig: Rig, sent: Sent, outcome: str, *, taken: bool = False) -> None:
    """The next provider took it; `taken`: whether the first one did, by its ledger."""
    first, second, _ = rig.chain
    assert sent.answer.status == 200
    assert sent.answer.trail == [(first, outcome), (second, "accepted")]
    assert sent.document["duplicate_possible"] is (outcome == "unknown")
    assert rig.taken(sent) == [*([(first, True)] if taken else []), (second, False)]


def goes_on_at_once_where_the_connection_is_refused(rig: Rig) -> None:
    """N1. Four times: the fifth failure would open the circuit."""
    rig.faultd.set(rig.chain[0], "refuse")
    waits = []
    for failures in range(1, 5):
        sent = rig.send()
        failed_over(rig, sent, "unavailable")
        one, two = sent.document["attempts"]
        assert one["reason"] == "the connection was refused"
        assert one["circuit"] == f"closed {failures}/5"
        waits.append(two["started_at"] - one["started_at"])
    assert min(waits) < 0.05, "the best of four: the machine may be busy"
