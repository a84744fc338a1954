"""Addresses, quotas and close codes at their edges."""

import socket
import struct

import pytest
import target
from clients import Python, Raw, Refused
from fanfare import wait_until
from test_messages import is_alone
from test_upgrade import refusal


@pytest.fixture
def raw(gateway):
    """A socket that is connected."""
    with Raw(gateway.host) as raw:
        raw.ask_for_upgrade(gateway.url())
        assert raw.head()[0] == 101
        yield raw
    # What brings the gateway down is this test's failure, and not the next one's.
    try:
        with Raw(gateway.host) as other:
            other.request("/")
            other.head()
    except (OSError, EOFError):
        wait_until(lambda: not gateway.is_alive(), "its end")
        pytest.fail("the gateway does not answer any more")


def close_code(raw):
    """The code of the close frame, which is the next frame."""
    _, opcode, payload = raw.frame()
    assert opcode == 8
    return struct.unpack(">H", payload[:2])[0]


@pytest.mark.parametrize("path", ["nowhere", "dev/more", "Dev", ""])
def test_unknown_stages(gateway, path):
    """More: unknown stages and further segments of a path are refused with 403."""
    with pytest.raises(Refused) as refused:
        with Python(gateway.url(base=f"ws://{gateway.host}/{path}")):
            pass
    assert refused.value.status == 403


def test_long_url(gateway):
    """More: URLs of more than 4,096 characters are refused with 414."""
    with Python(gateway.url(a="x" * 3_900)):
        pass
    refused, _ = refusal(gateway, a="x" * 4_100)
    assert refused.status == 414


def test_trailing_slash(gateway):
    """More: a slash behind the stage does no harm."""
    with Python(gateway.url(base=f"{gateway.ws_url}/")) as connected:
        is_alone(connected)


def test_unmasked(raw):
    """More: frames without a mask end the connection with 1002."""
    raw.send_frame(1, b"hello", masked=False)
    assert close_code(raw) == 1002


@pytest.mark.parametrize("opcode", [0x3, 0xB, 0x41], ids=["unknown data", "unknown control", "reserved bit"])
def test_bad_frames(raw, opcode):
    """More: frames of unknown kinds, or with reserved bits, end the connection with 1002."""
    raw.send_frame(opcode, b"hello")
    assert close_code(raw) == 1002


def test_large_control_frame(raw):
    """More: control frames that are too large end the connection with 1002."""
    raw.send_frame(9, b"x" * 126)
    assert close_code(raw) == 1002


@pytest.mark.parametrize("data", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80"])
def test_bad_text(raw, data):
    """More: text that is not UTF-8 ends the connection with 1007."""
    raw.send_frame(1, data)
    assert close_code(raw) == 1007


def test_reserved_actions(gateway, connect):
    """More: clients cannot call `$connect` or `$disconnect` by name."""
    with connect() as (connected, found):
        for name in ("$connect", "$disconnect"):
            connected.send(f'{{"action":"{name}"}}')
        wait_until(lambda: len(gateway.records("default", connection=found)) == 2, "both at $default")
        is_alone(connected)
        assert len(gateway.records("connect", connection=found)) == 1
        assert gateway.records("disconnect", connection=found) == []


def test_client_that_leaves_early(gateway):
    """More: a client that goes away during `$connect` was never connected: no `$disconnect`."""
    case, other = target.case(), target.case()
    with Raw(gateway.host) as raw:
        raw.ask_for_upgrade(gateway.url(case=case, wait=500))
        found = gateway.event("connect", case=case)["requestContext"]["connectionId"]
        # A reset, so that nothing is left to guess.
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Whoever comes and goes behind it is told of after it.
    with Python(gateway.url(case=other, wait=1_000)):
        last = gateway.event("connect", case=other)["requestContext"]["connectionId"]
    gateway.event("disconnect", connection=last)
    assert gateway.records("disconnect", connection=found) == []


def test_connect_timeout(gateways):
    """More: `$connect` that takes longer than its function may is refused."""
    refused, _ = refusal(gateways("short.yml"), connect="hang")
    assert refused.status in (502, 504)


@pytest.mark.parametrize("version", ["7", "12"])
def test_old_versions(gateway, version):
    """More: versions of WebSocket that nobody speaks any more are refused."""
    with Raw(gateway.host) as raw:
        raw.ask_for_upgrade(gateway.url(), **{"Sec-WebSocket-Version": version})
        assert raw.head()[0] in (400, 426)


def test_concurrent_messages(connect):
    """More: messages of one connection do not wait for one another."""
    with connect() as (connected, _):
        connected.send('{"action":"slow","ms":3000,"text":"first"}')
        connected.send('{"action":"slow","ms":0,"text":"second"}')
        assert [connected.receive(), connected.receive()] == ["slow second", "slow first"]


def test_no_compression(gateway):
    """More: compression is not agreed to unless that is asked for."""
    with Python(gateway.url(), compression="deflate") as connected:
        assert connected.socket.protocol.extensions == []
        is_alone(connected)
