"""Every test of this repository, a plugin's too, is watched for leaks: see `harness.leak_plugin`."""

pytest_plugins = ["harness.leak_plugin"]
