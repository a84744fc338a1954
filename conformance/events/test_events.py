"""The EventBridge door, asked by boto3; MQTT and native subscribers hear what comes of it."""

import json
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from commands import fanfare_sub, lines_of, mosquitto_sub, subscribers
from fanfare import Server
from hooks import Hooks


def events_of(server):
    return boto3.client(
        "events",
        endpoint_url=server.url,
        region_name="local",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="a secret",
        config=Config(retries={"max_attempts": 1}),
    )


@contextmanager
def running(config=""):
    with Server(config=config) as server:
        yield server, events_of(server)


@pytest.fixture(scope="module")
def events():
    with Server() as server:
        yield events_of(server)


def entry(detail, source="shop.tickets", kind="TicketsAvailable", **more):
    return {"Source": source, "DetailType": kind, "Detail": json.dumps(detail), **more}


def event(detail, **more):
    envelope = {
        "version": "0", "id": "1", "detail-type": "T", "source": "s", "account": "000000000000",
        "time": "2026-11-21T12:00:00Z", "region": "local", "resources": [], "detail": detail,
    }
    return json.dumps({**envelope, **more})


def test_c59_one_bad_entry_fails_alone(events):
    """C59: the answer has an entry for each of the request, in its order."""
    bad = entry({"n": 2})
    del bad["DetailType"]
    answer = events.put_events(Entries=[entry({"n": 1}), bad, entry({"n": 3})])
    assert answer["FailedEntryCount"] == 1
    assert ["EventId" in one for one in answer["Entries"]] == [True, False, True]
    assert answer["Entries"][1]["ErrorCode"] == "InvalidArgument"
    [malformed] = events.put_events(Entries=[{**entry({}), "Detail": "[1]"}])["Entries"]
    assert malformed["ErrorCode"] == "MalformedDetail"


def test_c59_too_many_entries(events):
    """C59: more than ten entries fail the whole request."""
    with pytest.raises(ClientError) as failure:
        events.put_events(Entries=[entry({"n": n}) for n in range(11)])
    assert failure.value.response["Error"]["Code"] == "ValidationException"


PATTERNS = [
    ({"detail": {"a": [1, "x", True, None]}}, {"a": 1}, True),
    ({"detail": {"a": [1, "x", True, None]}}, {"a": None}, True),
    ({"detail": {"a": [1, "x", True, None]}}, {"a": 2}, False),
    ({"detail": {"a": [{"prefix": "us-"}]}}, {"a": "us-east"}, True),
    ({"detail": {"a": [{"prefix": "us-"}]}}, {"a": "eu-west"}, False),
    ({"detail": {"a": [{"prefix": {"equals-ignore-case": "US-"}}]}}, {"a": "us-east"}, True),
    ({"detail": {"a": [{"suffix": ".png"}]}}, {"a": "b.png"}, True),
    ({"detail": {"a": [{"suffix": ".png"}]}}, {"a": "b.jpg"}, False),
    ({"detail": {"a": [{"equals-ignore-case": "alice"}]}}, {"a": "ALICE"}, True),
    ({"detail": {"a": [{"wildcard": "a*b"}]}}, {"a": "axxb"}, True),
    ({"detail": {"a": [{"wildcard": "a*b"}]}}, {"a": "axxc"}, False),
    ({"detail": {"a": [{"anything-but": ["x", "y"]}]}}, {"a": "z"}, True),
    ({"detail": {"a": [{"anything-but": ["x", "y"]}]}}, {"a": "x"}, False),
    ({"detail": {"a": [{"anything-but": {"prefix": "x"}}]}}, {"a": "xy"}, False),
    ({"detail": {"a": [{"anything-but": {"prefix": "x"}}]}}, {"a": "yx"}, True),
    ({"detail": {"a": [{"anything-but": "x"}]}}, {"b": 1}, False),
    ({"detail": {"a": [{"numeric": [">", 0, "<=", 5]}]}}, {"a": 5}, True),
    ({"detail": {"a": [{"numeric": [">", 0, "<=", 5]}]}}, {"a": 5.5}, False),
    ({"detail": {"a": [{"numeric": ["=", 3]}]}}, {"a": "3"}, False),
    ({"detail": {"a": [{"cidr": "10.0.0.0/24"}]}}, {"a": "10.0.0.255"}, True),
    ({"detail": {"a": [{"cidr": "10.0.0.0/24"}]}}, {"a": "10.0.1.0"}, False),
    ({"detail": {"a": [{"exists": True}]}}, {"a": 1}, True),
    ({"detail": {"a": [{"exists": True}]}}, {"b": 1}, False),
    ({"detail": {"a": [{"exists": False}]}}, {"b": 1}, True),
    ({"$or": [{"source": ["other"]}, {"detail": {"a": [1]}}]}, {"a": 1}, True),
    ({"$or": [{"source": ["other"]}, {"detail": {"a": [1]}}]}, {"a": 2}, False),
    ({"detail": {"l": ["x"]}}, {"l": ["w", "x"]}, True),
    ({"detail": {"l": {"a": [1], "b": [2]}}}, {"l": [{"a": 1, "b": 3}, {"a": 2, "b": 2}]}, False),
    ({"source": ["s"], "detail": {"a": [1]}}, {"a": 1}, True),
]


@pytest.mark.parametrize("pattern,detail,expected", PATTERNS)
def test_c60_patterns(events, pattern, detail, expected):
    """C60: every kind of matcher says what EventBridge says."""
    answer = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=event(detail))
    assert answer["Result"] is expected


@pytest.mark.parametrize("pattern", ["[]", '{"source": "s"}', '{"source": []}', '{"a": [{"prefix": 1}]}', "{"])
def test_c60_bad_patterns(events, pattern):
    """C60: what is no pattern is refused by its own name."""
    with pytest.raises(events.exceptions.InvalidEventPatternException):
        events.test_event_pattern(EventPattern=pattern, Event=event({}))


def test_c60_rules_and_targets_reach_every_door():
    """C60: a rule made by boto3 sends to a topic; MQTT and native subscribers hear it."""
    with running() as (server, events):
        pattern = {"source": ["shop.tickets"], "detail-type": ["TicketsAvailable"]}
        arn = events.put_rule(Name="tickets", EventPattern=json.dumps(pattern))["RuleArn"]
        assert arn == "arn:aws:events:local:000000000000:rule/tickets"
        target = {"Id": "1", "Arn": "arn:gw:channel:::artists/${$.detail.artist}/tickets", "InputPath": "$.detail"}
        assert events.put_targets(Rule="tickets", Targets=[target])["FailedEntryCount"] == 0
        assert [rule["Name"] for rule in events.list_rules()["Rules"]] == ["tickets"]
        topic = "artists/ada/tickets"
        entries = [entry({"artist": "ada", "seats": n}) for n in (1, 2)] + [entry({"artist": "bob"}), entry({}, "other")]
        makers = [lambda: mosquitto_sub(server, topic, 2), lambda: fanfare_sub(server, topic, 2)]
        with subscribers(server, *makers) as readers:
            assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
            for reader in readers:
                heard = [json.loads(line) for line in lines_of(reader)]
                assert heard == [{"artist": "ada", "seats": n} for n in (1, 2)]
        # It is kept.
        server.restart()
        assert events.describe_rule(Name="tickets")["State"] == "ENABLED"
        assert events.list_targets_by_rule(Rule="tickets")["Targets"] == [target]
        events.disable_rule(Name="tickets")
        with subscribers(server, lambda: mosquitto_sub(server, "artists/#", 1)) as [reader]:
            events.put_events(Entries=[entry({"artist": "ada", "seats": 3})])
            events.enable_rule(Name="tickets")
            events.put_events(Entries=[entry({"artist": "ada", "seats": 4})])
            assert [json.loads(line)["seats"] for line in lines_of(reader)] == [4]
        with pytest.raises(ClientError, match="has targets"):
            events.delete_rule(Name="tickets")
        events.remove_targets(Rule="tickets", Ids=["1"])
        events.delete_rule(Name="tickets")
        with pytest.raises(events.exceptions.ResourceNotFoundException):
            events.describe_rule(Name="tickets")


TICKETS = """
[[events.rules]]
name = "tickets"
pattern = { source = ["shop.tickets"], detail-type = ["TicketsAvailable"] }
targets = [{ topic = "artists/${$.detail.artist}/tickets" }]
"""


def test_c60_the_ticket_story():
    """C60: without a function or a table, everybody who follows an artist hears that tickets are on sale."""
    with running(TICKETS) as (server, events):
        with subscribers(server, lambda: mosquitto_sub(server, "artists/Ed Sheeran/tickets", 1)) as [reader]:
            [outcome] = events.put_events(Entries=[entry({"artist": "Ed Sheeran", "seats": 120})])["Entries"]
            [line] = lines_of(reader)
        heard = json.loads(line)
        assert heard["id"] == outcome["EventId"]
        assert (heard["source"], heard["detail-type"]) == ("shop.tickets", "TicketsAvailable")
        assert heard["detail"] == {"artist": "Ed Sheeran", "seats": 120}
        # The configuration's rules are not the API's to change.
        assert events.describe_rule(Name="tickets")["ManagedBy"] == "configuration"
        with pytest.raises(ClientError) as failure:
            events.disable_rule(Name="tickets")
        assert failure.value.response["Error"]["Code"] == "ManagedRuleException"


def test_functions_destinations_and_dead_letters():
    """C60: functions and API destinations are called with retries, and what cannot be delivered becomes a dead letter."""
    with Hooks() as function, Hooks(answers=[500, 200]) as web:
        config = f"""
[functions.notify]
url = "{function.url}/notify"
[events.destinations.crm]
url = "{web.url}/v1/*"
headers = ["x-api-key: hush"]
"""
        with running(config) as (server, events):
            events.put_rule(Name="all", EventPattern='{"source": ["s"]}')
            account = "local:000000000000"
            targets = [
                {"Id": "f", "Arn": f"arn:aws:lambda:{account}:function:notify"},
                {
                    "Id": "d", "Arn": f"arn:aws:events:{account}:api-destination/crm/1234", "Input": '{"n": 1}',
                    "HttpParameters": {"PathParameterValues": ["a b"], "QueryStringParameters": {"q": "1"}},
                },
                {
                    "Id": "x", "Arn": f"arn:aws:sqs:{account}:queue",
                    "DeadLetterConfig": {"Arn": "arn:gw:channel:::dead/letters"},
                },
                {"Id": "bad", "Arn": "arn:gw:channel:::${$.detail.topic}"},
            ]
            assert events.put_targets(Rule="all", Targets=targets)["FailedEntryCount"] == 0
            with subscribers(server, lambda: mosquitto_sub(server, "dead/letters", 1)) as [reader]:
                events.put_events(Entries=[entry({"topic": "$SYS/x"}, "s")])
                [(path, _, body)] = function.wait()
                assert (path, json.loads(body)["detail"]) == ("/notify", {"topic": "$SYS/x"})
                tries = web.wait(2)
                assert [(path, json.loads(body)) for path, _, body in tries] == [("/v1/a%20b?q=1", {"n": 1})] * 2
                assert tries[1][1]["x-api-key"] == "hush"
                assert json.loads(lines_of(reader)[0])["source"] == "s"


def test_deliveries_outlive_a_kill():
    """C60: what was acknowledged is delivered after a crash."""
    with Hooks(answers=[500, 500, 200]) as web:
        config = f"""
[events.destinations.crm]
url = "{web.url}/in"
[[events.rules]]
name = "all"
pattern = {{ source = ["s"] }}
targets = [{{ api_destination = "crm" }}]
"""
        with running(config) as (server, events):
            put = events.put_events(Entries=[entry({"n": 1}, "s"), entry({"n": 2}, "s")])
            web.wait(2)
            server.restart()
            seen = [json.loads(body)["id"] for _, _, body in web.wait(4)[2:]]
            assert sorted(seen) == sorted(one["EventId"] for one in put["Entries"])


def test_buses():
    """C60: rules of one bus do not see the events of another, unless one sends to the other."""
    with running() as (server, events):
        events.create_event_bus(Name="second")
        assert [bus["Name"] for bus in events.list_event_buses()["EventBuses"]] == ["default", "second"]
        events.put_rule(Name="here", EventPattern='{"source": ["s"]}', EventBusName="second")
        target = {"Id": "1", "Arn": "arn:gw:channel:::second"}
        events.put_targets(Rule="here", EventBusName="second", Targets=[target])
        with subscribers(server, lambda: mosquitto_sub(server, "second", 2)) as [reader]:
            events.put_events(Entries=[entry({"n": 1}, "s")])
            events.put_events(Entries=[entry({"n": 2}, "s", EventBusName="second")])
            events.put_rule(Name="across", EventPattern='{"source": ["s"]}')
            bus = "arn:aws:events:local:000000000000:event-bus/second"
            events.put_targets(Rule="across", Targets=[{"Id": "1", "Arn": bus}])
            events.put_events(Entries=[entry({"n": 3}, "s")])
            assert [json.loads(line)["detail"]["n"] for line in lines_of(reader)] == [2, 3]


def test_with_keys_a_signature_is_needed():
    """C59: a server with keys does not take events from everybody."""
    with running("[auth]\nkeys = [{id = 'main', secret = 'a secret of thirty-two bytes or more'}]\n") as (_, events):
        with pytest.raises(ClientError) as failure:
            events.put_events(Entries=[entry({})])
        assert failure.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_the_start_page_stays():
    """C59: the path is shared with the start page."""
    import requests

    with Server() as server:
        page = requests.get(server.url, timeout=10)
        assert page.status_code == 200 and "html" in page.headers["Content-Type"]
        other = requests.post(server.url, headers={"X-Amz-Target": "Other.Thing"}, timeout=10)
        assert other.status_code >= 400
