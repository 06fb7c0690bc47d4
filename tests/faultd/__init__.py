"""A daemon that plays every provider, keeps a ledger of what it took, and breaks on command.

`python -m faultd` with `tests` on the path runs it; `faultd.client.Faultd` starts it and speaks to
its control port. It listens on free ports of 127.0.0.1, connects to nobody, and ends with its
parent.
"""
