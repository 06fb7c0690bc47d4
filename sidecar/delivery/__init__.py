"""The pure core: messages, outcomes, the breaker and the chain.

Standard library only, no I/O, and no clock of its own: time is handed in.
Import the modules by name; this package re-exports nothing.
"""
