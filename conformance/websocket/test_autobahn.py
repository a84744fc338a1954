"""Every Autobahn case for servers, against the echo server on the real driver."""

import asyncio
import collections
import os
import subprocess
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from kosoku import FailureError, _caseindex, run_fuzzingclient

CASES = 517
# Offers that ask for a window of at most 2^9 bytes of the server. It declines them, as RFC 7692,
# section 7.1.2.1 lets it: its compressed messages are shared by many connections. The cases of
# 13.7 offer other windows besides and are accepted.
DECLINED = ["13.3.*", "13.5.*"]
COMPRESSION = ["12.*", "13.*"]
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


def is_one_of(case_id, globs):
    return any(fnmatchcase(case_id, glob) for glob in globs)


def take_bytes(on_message):
    def wrapped(self, message, is_binary):
        on_message(self, message.encode("latin-1") if isinstance(message, str) else message, is_binary)

    return wrapped


@pytest.fixture(scope="module", autouse=True)
def cases_take_plain_answers():
    """The runner hands uncompressed messages to the cases as text with a character for each byte,
    which the compression cases cannot hash. A server may leave any message uncompressed (RFC 7692,
    section 6), and ours does with short ones, so these cases get bytes."""
    _caseindex.initialize_shims()
    import case12_x_x

    for case in case12_x_x.Case12_X_X + case12_x_x.Case13_X_X:
        case.onMessage = take_bytes(case.onMessage)


@contextmanager
def echo(*args):
    binary = str(Path(os.environ["ECHO_SERVER"]).resolve())
    process = subprocess.Popen([binary, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
        process.stdin.close()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


async def verdicts(address):
    try:
        return await run_fuzzingclient(f"ws://{address}/echo", concurrency=2)
    except FailureError as failure:
        return failure.results


def judge(is_deflate, capsys):
    with echo(*["--deflate"] * is_deflate) as address:
        results = asyncio.run(verdicts(address))
    unimplemented = DECLINED if is_deflate else COMPRESSION
    counts = collections.Counter()
    failed = []
    for result in results:
        behavior, close = result.behavior.value, result.behavior_close.value
        is_good = behavior in GOOD
        if is_one_of(result.case_id, unimplemented):
            is_good = behavior == "UNIMPLEMENTED"
        counts[behavior] += 1
        if not is_good or close not in {"OK", "INFORMATIONAL"}:
            failed.append(f"{result.case_id}: {behavior}, {result.result} Close: {close}, {result.result_close}")
    with capsys.disabled():
        name = "with permessage-deflate" if is_deflate else "plain"
        listed = ", ".join(f"{count} {behavior}" for behavior, count in sorted(counts.items()))
        print(f"\nAutobahn, {name}: {len(results)} cases: {listed}")
    assert not failed, "\n".join(failed)
    assert len(results) == CASES


@pytest.mark.timeout(600)
def test_plain(capsys):
    judge(False, capsys)


@pytest.mark.timeout(1800)
def test_deflate(capsys):
    judge(True, capsys)
