"""All SDKs hear the same in the same order."""

from clients import Rust
from fanfare import wait_until
from gateway import CACHE

MESSAGES = 1_000


def test_one_order_for_all(node, web, python, rust, server, topic):
    """More: what many publish at once has the same numbers and the same order for every subscriber."""
    subscriptions = [sdk.at(server).subscribe(CACHE, topic) for sdk in (node, web, python, rust)]
    with Rust() as other:
        asked = {"cache": CACHE, "topic": topic, "count": MESSAGES, "size": 20, "at_once": 50}
        other.at(server).ask("flood", seconds=60, **asked).must()
    for subscription in subscriptions:
        wait_until(lambda: len(subscription.all()) == MESSAGES, f"all at {subscription.sdk.name}", 30)  # noqa: B023
    heard = [[(item.number, item.value) for item in subscription.all()] for subscription in subscriptions]
    assert all(one == heard[0] for one in heard)
    numbers = [number for number, _ in heard[0]]
    assert numbers == list(range(numbers[0], numbers[0] + MESSAGES))
    assert len({value for _, value in heard[0]}) == MESSAGES
