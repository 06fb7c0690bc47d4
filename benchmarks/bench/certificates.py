"""A certificate authority for one run, and a bundle as large as a real one that trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files. `bundle` is certifi's with `authority` behind it."""

    chain: Path
    authority: Path
    bundle: Path

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        """New ones for 127.0.0.1 and localhost, in `directory`."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        made = cls(directory / "chain.pem", directory / "ca.pem", directory / "bundle.pem")
        issued.private_key_and_cert_chain_pem.write_to_path(str(made.chain))
        authority.cert_pem.write_to_path(str(made.authority))
        made.bundle.write_text(f"{certifi.contents()}\n{made.authority.read_text()}")
        return made

    def environ(self) -> dict[str, str]:
        """Variables by which OpenSSL, requests, botocore and node come to trust the bundle."""
        bundle = str(self.bundle)
        return {
            "SSL_CERT_FILE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            "AWS_CA_BUNDLE": bundle,
            "NODE_EXTRA_CA_CERTS": str(self.authority),
        }
