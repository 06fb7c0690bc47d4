"""Where the sidecar may listen, and how that is written."""

from pathlib import Path

import pytest

from sidecar.config import TcpAddress, UnixAddress
from sidecar.config.addresses import parse_address, parse_tcp

REST = "chains: {sms: [console]}\nproviders: {console: }\n"


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:8780", TcpAddress("127.0.0.1", 8780), True),
        ("127.0.0.2:0", TcpAddress("127.0.0.2", 0), True),
        ("localhost:65535", TcpAddress("localhost", 65535), True),
        ("[::1]:8780", TcpAddress("::1", 8780), True),
        ("[0:0:0:0:0:0:0:1]:1", TcpAddress("::1", 1), True),
        ("0.0.0.0:8781", TcpAddress("0.0.0.0", 8781), False),
        ("[::]:8781", TcpAddress("::", 8781), False),
        ("10.0.0.1:80", TcpAddress("10.0.0.1", 80), False),
        ("unix:/run/x.sock", UnixAddress(Path("/run/x.sock")), True),
    ],
)
def test_what_is_read(text, address, loopback):
    parsed = parse_address(text)
    assert parsed == address
    assert parsed.loopback is loopback
    assert parse_address(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[::ffff:127.0.0.1]:80",
        "8780",
        ":8780",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:80\n",
        "127.1:80",
        "0x7f000001:80",
        "2130706433:80",
        "::1:8780",
        "[127.0.0.1]:80",
        "[::1]",
        "[fe80::1%eth0]:80",
        "example.com:80",
        "LOCALHOST:80",
        "http://127.0.0.1:80",
        "127.0.0.1:٨٠",
        "unix:",
        "unix:relative.sock",
        "unix:/a\nb",
        "unix:/" + "x" * 107,
        8780,
        None,
        ["127.0.0.1:80"],
    ],
)
def test_what_is_not(text):
    with pytest.raises(ValueError, match=r"must|written|bytes|brackets|IPv4"):
        parse_address(text)


def test_the_second_listener_is_no_unix_socket():
    with pytest.raises(ValueError, match="address with a port"):
        parse_tcp("unix:/run/x.sock")


def test_the_second_listener_may_be_for_everybody(load_text):
    config = load_text(f"server: {{ops_listen: '0.0.0.0:8781'}}\n{REST}")
    assert config.server.ops_listen == TcpAddress("0.0.0.0", 8781)


def test_both_listeners_may_take_any_port(load_text):
    config = load_text(f"server: {{listen: 'localhost:0', ops_listen: 'localhost:0'}}\n{REST}")
    assert config.server.listen == config.server.ops_listen


def test_another_address_with_leave_and_a_token(load_text):
    config = load_text(
        "server: {listen: '10.0.0.1:80', allow_non_loopback: true, token_file: /run/t}\n" + REST
    )
    assert config.server.listen == TcpAddress("10.0.0.1", 80)
    assert config.server.token_file == Path("/run/t")


def test_allowed_hosts(load_text):
    config = load_text(f"server: {{allowed_hosts: [Sidecar.Example, 'b:80', 10.0.0.1]}}\n{REST}")
    assert config.server.allowed_hosts == ("sidecar.example", "b:80", "10.0.0.1")
