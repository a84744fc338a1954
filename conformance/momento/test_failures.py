"""What applications see when something fails, for each SDK; table.py makes a table of it."""

import pytest
from failures import ENDING, FAILURES, observe
from fanfare import Server
from gateway import CONFIG
from link import Link

UNAUTHENTICATED = "AUTHENTICATION_ERROR"
NOT_FOUND = "NOT_FOUND_ERROR"
# Errors that applications are told, by failure. The SDKs for Python and Rust tell of none.
ERRORS = dict(zip(ENDING, (UNAUTHENTICATED, UNAUTHENTICATED, NOT_FOUND), strict=True))
ASKS_MAX = 6


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
def test_failure(sdk, node, failure):
    """More: what an application sees when something fails."""
    with Server(config=CONFIG) as server, Link(server) as link:
        found = observe(sdk, failure, server, link, node.at(server))
    if sdk.name == "python":
        is_proper(found)
    elif failure in ERRORS:
        ends(found, ERRORS[failure])
    else:
        goes_on(found, failure)


def ends(found, code):
    """The application is told; the SDK for Rust tells nobody and asks again, which the server slows down."""
    assert not found.goes_on
    assert found.error == ("" if found.sdk == "rust" else code), found
    assert found.asks <= ASKS_MAX, found


def goes_on(found, failure):
    """By itself, and without a loss where the server has not forgotten."""
    assert found.goes_on and found.error == "", found
    assert failure == "forgets" or found.missed == 0, found
    # It asks for the last message again.
    assert found.twice <= (1 if found.sdk == "rust" else 0), found


def is_proper(found):
    """The SDK for Python does not come back; what it does then is its own affair."""
    assert found.error == "" and (found.goes_on == (found.failure == "silent")), found
