"""Every test here, a plugin's too, is watched for leaks: see `tests/harness/leak_plugin.py`."""

pytest_plugins = ["harness.leak_plugin"]
