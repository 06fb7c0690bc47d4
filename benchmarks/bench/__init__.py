"""The benchmark of OTP Sidecar: `make bench` measures the goals G1 to G14 and writes `results.md`.

The sidecar under test has one core; the stand-in of the vendors (`bench.stub`) and the load
generator (`bench.load`), each a process of its own, share another. What is compared takes turns in
one run, so that a machine that slows down slows all of it, and only ratios inside a run count.
"""
