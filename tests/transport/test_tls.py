"""TLS is always verified, and an error says what was wrong with the certificate."""

import asyncio
import datetime as dt
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sidecar.delivery.errors import Unavailable
from sidecar.network import tls_context
from sidecar.transport import HttpTransport


def first_of_january(year):
    return dt.datetime(year, 1, 1, tzinfo=dt.UTC)


LONG_AGO, FAR_AHEAD = first_of_january(2001), first_of_january(2101)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusted(authority, monkeypatch, tmp_path):
    """The process trusts our authority, as an operator would make it: by `SSL_CERT_FILE`."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


def server_side(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(folder):
    """A server's context with a certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(LONG_AGO)
        .not_valid_after(FAR_AHEAD)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "self-signed.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def answer(reader, writer):
    received.append(await reader.readuntil(b"\r\n\r\n"))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


received: list[bytes] = []


@pytest.fixture(autouse=True)
def _nothing_received():
    received.clear()


async def get(transport, port, host="localhost", timeout=5.0):
    url = f"https://{host}:{port}/"
    return await transport.request("GET", url, headers={}, timeout=timeout)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_good_certificate_is_accepted(transport, serve, authority, host):
    port = await serve(answer, ssl=server_side(authority.issue_cert("localhost", "127.0.0.1")))
    assert (await get(transport, port, host)).status == 200
    assert len(received) == 1


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("name", "host", "year", "cause"),
    [
        ("localhost", "localhost", 2001, "expired"),
        ("localhost", "localhost", 2101, "not valid yet"),
        ("other.example", "localhost", None, "wrong host name"),
        ("10.0.0.1", "127.0.0.1", None, "wrong address"),
    ],
)
async def test_the_error_names_what_is_wrong_with_the_certificate(
    transport, serve, authority, name, host, year, cause
):
    life = {"not_before": LONG_AGO, "not_after": FAR_AHEAD}
    if year is not None:
        life = {"not_before": first_of_january(year), "not_after": first_of_january(year + 1)}
    certificate = authority.issue_cert(name, **life)
    port = await serve(answer, ssl=server_side(certificate))
    with pytest.raises(Unavailable, match=rf"certificate was not accepted: {cause}$"):
        await get(transport, port, host)
    assert received == []


async def test_a_certificate_of_an_unknown_issuer(transport, serve, authority):
    port = await serve(answer, ssl=server_side(authority.issue_cert("localhost")))
    with pytest.raises(Unavailable, match=r"not accepted: unknown issuer$"):
        await get(transport, port)
    assert received == []


@pytest.mark.usefixtures("trusted")
async def test_a_self_signed_certificate(transport, serve, tmp_path):
    port = await serve(answer, ssl=self_signed(tmp_path))
    with pytest.raises(Unavailable, match=r"not accepted: self-signed$"):
        await get(transport, port)
    assert received == []


async def test_a_server_that_speaks_no_tls(transport, serve):
    async def plain(reader, writer):
        writer.write(b"220 smtp.example ESMTP\r\n")
        await writer.drain()
        await reader.read()

    with pytest.raises(Unavailable, match="TLS handshake failed"):
        await get(transport, await serve(plain))


async def test_a_handshake_that_hangs_is_bounded_by_the_time_for_connecting(transport, serve):
    async def silent(reader, writer):
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Unavailable, match="time for connecting"):
        await get(transport, await serve(silent), timeout=0.2)


async def test_a_handshake_that_is_hung_up_on(transport, serve):
    async def hang_up(reader, writer):
        await reader.read(1)

    with pytest.raises(Unavailable):
        await get(transport, await serve(hang_up))


def test_the_context_verifies_and_is_shared():
    context = tls_context()
    assert context is tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_the_context_is_there_before_the_first_request(trusted):
    assert tls_context.cache_info().currsize == 0
    transport = HttpTransport()
    assert tls_context.cache_info().currsize == 1
    await transport.close()


async def test_leave_for_private_addresses_is_no_leave_to_skip_verification(serve, authority):
    port = await serve(answer, ssl=server_side(authority.issue_cert("localhost")))
    transport = HttpTransport(allow_private=True)
    with pytest.raises(Unavailable):
        await get(transport, port)
    await transport.close()
    assert received == []
