"""A long run under every fault at once, judged by the invariants: `make soak`.

One real sidecar on both channels, providers of the fault daemon, an open stream of sends by clients
that keep their contract, faults, reloads, kills, hang-ups and hostile requests at random. A seed
repeats the decisions, though not the timing.
"""
