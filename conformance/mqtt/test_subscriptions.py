"""SUBSCRIBE and UNSUBSCRIBE, filters, options, and retained messages."""

import pytest
import raw
from commands import lines_of, run, running
from fanfare import wait_until
from pm import SubscribeOptions, connected, props
from raw import PUBLISH, SUBACK, UNSUBACK, Raw


@pytest.fixture(params=[4, 5])
def level(request):
    return request.param


@pytest.fixture
def writer(port):
    with Raw(port) as writer:
        writer.connect()
        yield writer


def test_overlapping_subscriptions(port, topic):
    """C22: what several subscriptions match comes once, at the highest quality, with the ids of all of them."""
    # proves: v5 MQTT-3.3.4-2 MQTT-3.3.4-3 MQTT-3.3.4-4 MQTT-3.8.4-8; v3.1.1 MQTT-3.3.5-1
    with connected(port) as client, connected(port) as writer:
        for filter, qos, number in ((f"{topic}/#", 2, 2), (f"{topic}/+", 1, 3)):
            client.subscribe((filter, qos), properties=props("SUBSCRIBE", SubscriptionIdentifier=number))
        writer.publish(f"{topic}/C", b"x", 2)
        [message] = client.messages(1)
        assert (message.qos, sorted(message.properties.SubscriptionIdentifier)) == (2, [2, 3])
        writer.publish(f"{topic}/end", b"end", 2)
        assert client.messages(1)[0].payload == b"end"


def test_overlapping_subscriptions_3(port, topic, writer):
    """In 3.1.1, too, what several subscriptions match comes once, at the highest quality."""
    # proves: v3.1.1 MQTT-3.3.5-1
    with Raw(port, 4) as client:
        client.connect()
        client.subscribe((f"{topic}/#", 0), (f"{topic}/+", 2), (f"{topic}/a", 1))
        writer.publish(f"{topic}/a", b"x", 2)
        [message] = client.take(1)
        assert message.qos == 2
        client.quiet()


def test_same_identifier_twice(port, topic, writer):
    """Two subscriptions with one identifier give it twice; one without gives none; the largest is 268,435,455."""
    # proves: v5 MQTT-3.3.4-3 MQTT-3.3.4-4 MQTT-3.3.4-5
    largest = 268_435_455
    with Raw(port) as client:
        client.connect()
        for filter, given in ((f"{topic}/#", {"subscription_id": largest}), (f"{topic}/+", {"subscription_id": largest}), (f"{topic}/a", ())):
            client.subscribe(filter, props=given)
        writer.publish(f"{topic}/a", b"x")
        assert client.take(1)[0].all("subscription_id") == [largest, largest]
        # Again without an identifier: it is gone.
        client.subscribe(f"{topic}/#")
        writer.publish(f"{topic}/a", b"x")
        assert client.take(1)[0].all("subscription_id") == [largest]


def test_subscribe_again_replaces(port, topic, writer, level):
    """A filter that is subscribed again replaces the subscription, its quality included."""
    # proves: v5 MQTT-3.8.4-3; v3.1.1 MQTT-3.8.4-3
    with Raw(port, level) as client:
        client.connect()
        for qos in (2, 0, 1):
            assert client.subscribe((topic, qos)) == [qos]
            writer.publish(topic, b"x", 2)
            assert client.take(1)[0].qos == qos
            client.quiet()


def test_no_local(port, topic):
    """C23: with no local a client does not hear itself, and others do."""
    # proves: v5 MQTT-3.8.3-3
    with connected(port) as client, connected(port) as other:
        client.subscribe((topic, SubscribeOptions(1, noLocal=True)))
        other.subscribe((topic, 1))
        client.client.publish(topic, b"own", 1)
        assert client.expect("published")[1] == 0
        assert other.messages(1)[0].payload == b"own"
        other.client.publish(topic, b"other", 1)
        assert client.messages(1)[0].payload == b"other"


@pytest.mark.parametrize("handling, counts", [(0, (3, 3)), (1, (3, 0)), (2, (0, 0))])
def test_retain_handling(port, topic, handling, counts):
    """C25: retained messages come always, once, or never, as was asked for."""
    # proves: v5 MQTT-3.3.1-9 MQTT-3.3.1-10 MQTT-3.3.1-11 MQTT-3.8.4-4
    with connected(port) as client:
        for number in range(3):
            client.publish(f"{topic}/{number}", b"kept", 1, retain=True)
        for round, count in enumerate(counts):
            client.subscribe((f"{topic}/+", SubscribeOptions(1, retainHandling=handling)))
            assert all(message.retain for message in client.messages(count))
            client.client.publish(f"{topic}/mark", str(round))
            seen = [client.next(), client.next()]
            assert [event[1].payload for event in seen if event[0] == "message"] == [str(round).encode()]
        client.unsubscribe(f"{topic}/+")
        for number in range(3):
            client.publish(f"{topic}/{number}", b"", 1, retain=True)


def test_empty_retained_message(port, topic):
    """C26: an empty retained message clears; those who listen hear it, those who come later hear nothing."""
    # proves: v3.1.1 MQTT-3.3.1-10 MQTT-3.3.1-11; v5 MQTT-3.3.1-6 MQTT-3.3.1-7
    pub = ["mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-q", 1, "-t", topic]
    sub = ["mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-q", 1, "-t", topic, "-t", f"{topic}/end", "-W", 20]
    run(*pub, "-r", "-m", "kept")
    with running(*sub, "-C", 2, "-F", "%r [%p]") as old:
        # It has subscribed once it has been told what is kept.
        assert old.stdout.readline() == b"1 [kept]\n"
        run(*pub, "-r", "-n")
        assert lines_of(old) == ["0 []"]
    with running(*sub, "-C", 1, "-F", "%t") as new:
        publish_until(new, [*pub[:-1], f"{topic}/end", "-m", "x"])
        assert lines_of(new) == [f"{topic}/end"]


def publish_until(reader, command, seconds=10):
    """Publishes until a reader that takes one message ends: when it has subscribed is not known."""
    def ended():
        run(*command)
        return reader.poll() is not None

    wait_until(ended, "the reader's end", seconds)


def test_retained_properties(port, topic):
    """C27: a retained message keeps its properties, in order."""
    # proves: v5 MQTT-3.3.2-17 MQTT-3.3.2-18 MQTT-3.3.1-9 MQTT-3.3.1-5
    pairs = [("b", "2"), ("a", "1")]
    with connected(port) as client:
        client.publish(f"{topic}/x", b"kept", 1, retain=True, UserProperty=pairs, ContentType="text/plain")
        client.subscribe((f"{topic}/+", 2))
        [message] = client.messages(1)
        assert (message.retain, message.qos, message.properties.UserProperty) == (True, 1, pairs)
        assert message.properties.ContentType == "text/plain"
        client.unsubscribe(f"{topic}/+")
        client.publish(f"{topic}/x", b"", 1, retain=True)


@pytest.mark.parametrize("as_published", [False, True])
def test_retain_as_published(port, topic, writer, as_published):
    """The retain flag of a live message is kept only where it was asked for; of a kept one it is always set."""
    # proves: v5 MQTT-3.3.1-12 MQTT-3.3.1-13 MQTT-3.3.1-8; v3.1.1 MQTT-3.3.1-8 MQTT-3.3.1-9
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 1 | (8 if as_published else 0)))
        writer.publish(topic, b"live", 1, retain=True)
        writer.publish(topic, b"passing", 1)
        assert [message.retain for message in client.take(2)] == [as_published, False]
        client.unsubscribe(topic)
        client.subscribe((topic, 1 | (8 if as_published else 0)))
        [message] = client.take(1)
        assert (message.payload, message.retain) == (b"live", True)
        writer.publish(topic, b"", 1, retain=True)
        assert client.take(1)[0].retain is as_published


def test_last_retained_is_kept(port, topic, writer, level):
    """A later retained message replaces an earlier one; it comes at the lower quality; wildcards find all."""
    # proves: v5 MQTT-3.3.1-5 MQTT-3.8.4-8; v3.1.1 MQTT-3.3.1-5 MQTT-3.3.1-6 MQTT-3.3.1-7
    for number in range(5):
        for value in (b"old", str(number).encode()):
            writer.publish(f"{topic}/{number}", value, number % 3, retain=True)
    writer.publish(f"{topic}/mark", b"x", 1)
    with Raw(port, level) as client:
        client.connect()
        client.subscribe((f"{topic}/#", 1))
        found = sorted(client.take(5), key=lambda message: message.topic)
        assert [(message.payload, message.qos, message.retain) for message in found] == [
            (str(number).encode(), min(1, number % 3), True) for number in range(5)
        ]
        client.quiet()
    for number in range(5):
        writer.publish(f"{topic}/{number}", b"", 0, retain=True)


def test_retained_expires(port, topic, writer):
    """A retained message with an expiry is gone when its time is over, and says how much is left before."""
    # proves: v5 MQTT-3.3.2-5 MQTT-3.3.2-6
    writer.publish(f"{topic}/short", b"x", 1, retain=True, props={"message_expiry": 2})
    writer.publish(f"{topic}/long", b"x", 1, retain=True, props={"message_expiry": 100})
    with Raw(port) as client:
        client.connect()

        def kept():
            client.send(raw.subscribe(1, f"{topic}/#"), raw.PINGREQ_BYTES)
            found = []
            while (packet := client.read()).kind != raw.PINGRESP:
                found += [packet] if packet.kind == PUBLISH else []
            return {message.topic.rsplit("/")[-1]: message.get("message_expiry") for message in found}

        first = kept()
        assert first.keys() == {"short", "long"} and first["short"] in (1, 2) and first["long"] in (99, 100)
        wait_until(lambda: "short" not in kept(), "the end of the short one", 5)
        assert 90 <= kept()["long"] <= 99
    writer.publish(f"{topic}/long", b"", 1, retain=True)


def test_live_messages_during_a_new_subscription(port, topic, writer):
    """Retained messages do not push out or overtake what is live: the last heard is the last published."""
    # proves: v5 MQTT-3.8.4-4
    writer.publish(topic, b"0", 1, retain=True)
    with Raw(port) as client:
        client.connect()
        client.subscribe((topic, 1))
        last = 0
        for number in range(1, 40):
            client.send(raw.subscribe(number, (topic, 1)))
            writer.publish(topic, str(number), 1, retain=True)
        live = []
        while not live or live[-1] != 39:
            message = client.read()
            if message.kind == PUBLISH:
                client.finish(message)
                value = int(message.payload)
                assert value >= last, (value, last)
                last = value
                live += [] if message.retain else [value]
        assert live == list(range(1, 40))
    writer.publish(topic, b"", 1, retain=True)


DENIED = 'anonymous_allow = ["*:default/*"]\nanonymous_deny = ["subscribe:default/test/nosubscribe"]'


def test_denied_filter_3(started):
    """C31: a filter that is not allowed gets 0x80 in 3.1.1, those beside it are granted."""
    # proves: v3.1.1 MQTT-3.9.3-1 MQTT-3.9.3-2 MQTT-3.8.4-5
    with connected(started(auth=DENIED).mqtt_port, version=4) as client:
        assert client.subscribe(("a", 1), ("test/nosubscribe", 2), ("b", 2)) == [1, 0x80, 2]
        assert client.subscribe(("#", 1)) == [0x80]


@pytest.mark.parametrize("keys, code", [({}, 0x87), ({"deny_code": "specific"}, 0x87), ({"deny_code": "unspecified"}, 0x80)])
def test_denied_filter_5(started, keys, code):
    """C32: a filter that is not allowed gets 0x87 in MQTT 5, or 0x80 where the configuration wants it."""
    # proves: v5 MQTT-3.9.3-1 MQTT-3.9.3-2 MQTT-3.8.4-6
    with connected(started(auth=DENIED, **keys).mqtt_port) as client:
        assert client.subscribe(("a", 1), ("test/nosubscribe", 2), ("b", 2)) == [1, code, 2]


def test_invalid_filters(port, topic):
    """C30: filters that are none get 0x8F in MQTT 5, and the valid ones beside them are granted."""
    # proves: v5 MQTT-4.7.1-1 MQTT-4.7.1-2 MQTT-4.8.2-1 MQTT-4.8.2-2 MQTT-3.9.3-2 MQTT-4.7.3-1
    bad = ["$share/g", "a/#/b", "a+", "+a/b", "a#", "#/a", "$share/+/a", "$share/#/a", "$share//a", "$share/a b+/c", "$share/g/"]
    with Raw(port) as client:
        client.connect()
        for filter in bad:
            client.send(raw.subscribe(1, topic, filter, f"{topic}/+"))
            found = client.read()
            assert found.kind == SUBACK and found.codes == [0, 0x8F, 0], (filter, found)
        client.quiet()


def test_empty_filter(port, topic):
    """A filter without a character is no filter at all: the connection ends."""
    # proves: v5 MQTT-4.7.3-1
    with Raw(port) as client:
        client.connect()
        client.send(raw.subscribe(1, topic, ""))
        client.refused(0x8F)


def test_invalid_filters_3(port):
    """In 3.1.1 a filter that is none ends the connection or gets 0x80, and is never granted."""
    # proves: v3.1.1 MQTT-4.7.1-2 MQTT-4.7.1-3 MQTT-4.8.0-1 MQTT-4.7.3-1
    for filter in ("a/#/b", "a+", "a#", ""):
        with Raw(port, 4) as client:
            client.connect()
            client.send(raw.subscribe(1, filter))
            try:
                assert client.expect(SUBACK, seconds=3).codes == [0x80]
            except raw.Closed:
                pass


MATCHES = {
    "{0}/#": ["{0}", "{0}/", "{0}/b", "{0}/b/c", "{0}//c"],
    "{0}/+": ["{0}/", "{0}/b"],
    "{0}/+/c": ["{0}/b/c", "{0}//c"],
    "{0}/+/+": ["{0}/b/c", "{0}//c"],
    "+/{0}/#": ["/{0}", "/{0}/b"],
    "/{0}": ["/{0}"],
    "/+": ["/{0}"],
    "{0}/b": ["{0}/b"],
    "{0}": ["{0}"],
    "{0}//c": ["{0}//c"],
}
NAMES = ["{0}", "{0}/", "{0}/b", "{0}/b/c", "{0}//c", "/{0}", "/{0}/b", "{0}b"]


def test_matching(port, topic, writer, level):
    """What filters match: levels may be empty, a `#` takes its parent along, letters are letters."""
    # proves: v5 MQTT-4.7.1-1 MQTT-4.7.1-2 MQTT-4.7.3-4 MQTT-3.3.2-3; v3.1.1 MQTT-4.7.1-2 MQTT-4.7.1-3 MQTT-4.7.3-4 MQTT-3.3.2-3
    for number, (filter, wanted) in enumerate(MATCHES.items()):
        name = f"{topic}{number}"
        with Raw(port, level) as client:
            client.connect()
            client.subscribe(filter.format(name), "end")
            for other in NAMES:
                writer.publish(other.format(name), b"x")
            writer.publish("end", b"x")
            heard = []
            while (message := client.expect(PUBLISH)).topic != "end":
                heard.append(message.topic)
            assert heard == [other.format(name) for other in wanted], filter


def test_dollar_topics(port, topic, level):
    """Filters that begin with a wildcard leave topics alone that begin with a dollar."""
    # proves: v5 MQTT-4.7.2-1; v3.1.1 MQTT-4.7.2-1
    with Raw(port, level) as client:
        client.connect()
        assert client.subscribe("#", "+/#", f"+/{topic}")[0] < 3
        for name in ("$own", "$SYS", "$"):
            # The server may refuse them, and end the connection.
            with Raw(port, level) as writer:
                writer.connect()
                writer.send(raw.publish(f"{name}/{topic}", b"x", level=level))
                writer.leave()
        client.publish(f"end/{topic}", b"x")
        while (message := client.expect(PUBLISH)).topic != f"end/{topic}":
            assert not message.topic.startswith("$"), message


def test_suback(port, topic, level):
    """One SUBACK, with its id and one code for each filter in order, also for many; then what is kept."""
    # proves: v5 MQTT-3.8.4-1 MQTT-3.8.4-2 MQTT-3.8.4-5 MQTT-3.8.4-6 MQTT-3.8.4-7 MQTT-3.9.3-1 MQTT-2.2.1-6; v3.1.1 MQTT-3.8.4-1 MQTT-3.8.4-2 MQTT-3.8.4-4 MQTT-3.8.4-5 MQTT-3.9.3-1 MQTT-2.3.1-7
    with Raw(port, level) as client:
        client.connect()
        client.publish(topic, b"kept", 1, retain=True)
        filters = [(f"{topic}/{number}", number % 3) for number in range(50)]
        client.send(raw.subscribe(4711, *filters, (topic, 1), level=level))
        ack = client.expect(SUBACK)
        assert (ack.number, ack.codes) == (4711, [number % 3 for number in range(50)] + [1])
        assert client.take(1)[0].payload == b"kept"
        client.publish(topic, b"", 1, retain=True)
        client.take(1)


def test_empty_requests(port, level):
    """SUBSCRIBE and UNSUBSCRIBE without a filter end the connection."""
    # proves: v5 MQTT-3.8.3-2 MQTT-3.10.3-2; v3.1.1 MQTT-3.8.3-3 MQTT-3.10.3-2
    for packet in (raw.subscribe(1, level=level), raw.unsubscribe(1, level=level)):
        with Raw(port, level) as client:
            client.connect()
            client.send(packet)
            client.refused((0x81, 0x82))


BAD_OPTIONS = {"quality 3": 3, "reserved bit 6": 0x40, "reserved bit 7": 0x80, "retain handling 3": 0x30}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options(port, topic, name, level):
    """Options of a subscription that do not exist end the connection."""
    # proves: v5 MQTT-3.8.3-5; v3.1.1 MQTT-3.8.3-4
    with Raw(port, level) as client:
        client.connect()
        client.send(raw.subscribe(1, (topic, BAD_OPTIONS[name]), level=level))
        client.refused((0x81, 0x82))


def test_bad_subscription_identifiers(port, topic):
    """An identifier of 0, and two in one SUBSCRIBE, end the connection."""
    # proves: v5 MQTT-4.13.1-1
    for given in ({"subscription_id": 0}, [("subscription_id", 1), ("subscription_id", 2)]):
        with Raw(port) as client:
            client.connect()
            client.send(raw.subscribe(1, topic, props=given))
            client.refused((0x81, 0x82))


def test_unsubscribe_unknown(port, topic):
    """C37: an unsubscribe is answered filter by filter: 0x11 where there was nothing."""
    # proves: v5 MQTT-3.10.4-4 MQTT-3.10.4-5 MQTT-3.11.3-1 MQTT-3.11.3-2 MQTT-3.10.4-6
    with connected(port) as client:
        client.subscribe((topic, 1))
        assert client.unsubscribe(f"{topic}/never", topic, f"{topic}/x") == [0x11, 0, 0x11]
        assert client.unsubscribe(topic) == [0x11]


def test_unsubscribe_is_literal(port, topic, writer, level):
    """Filters are compared letter by letter, and UNSUBACK always comes."""
    # proves: v5 MQTT-3.10.4-1 MQTT-3.10.4-2 MQTT-3.10.4-4 MQTT-3.10.4-5; v3.1.1 MQTT-3.10.4-1 MQTT-3.10.4-2 MQTT-3.10.4-4 MQTT-3.10.4-5 MQTT-3.10.4-6
    with Raw(port, level) as client:
        client.connect()
        client.subscribe(f"{topic}/+")
        client.send(raw.unsubscribe(9, f"{topic}/#", f"{topic}/a", "#", level=level))
        assert client.expect(UNSUBACK).number == 9
        writer.publish(f"{topic}/a", b"still")
        assert client.take(1)[0].payload == b"still"
        client.unsubscribe(f"{topic}/+")
        writer.publish(f"{topic}/a", b"no more", 1)
        client.quiet()


def test_unsubscribe_finishes_what_has_begun(port, topic, writer, level):
    """What was sent before an unsubscribe is finished, also after a reconnect."""
    # proves: v5 MQTT-3.10.4-3; v3.1.1 MQTT-3.10.4-3
    given = {"clean": False, "props": {"session_expiry": 60} if level == 5 else ()}
    with Raw(port, level) as client:
        client.connect(topic, **given)
        client.subscribe((topic, 2))
        writer.publish(topic, b"x", 2)
        message = client.expect(PUBLISH)
        client.unsubscribe(topic)
        client.send(raw.acknowledge(raw.PUBREC, message.number))
        assert client.expect(raw.PUBREL).number == message.number
    with Raw(port, level) as client:
        client.connect(topic, **given)
        assert client.expect(raw.PUBREL).number == message.number
        client.send(raw.acknowledge(raw.PUBCOMP, message.number))
        client.quiet()
