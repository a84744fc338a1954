"""The interoperability suite of Eclipse Paho, each test against a server of its own, several at a time.

The suite is not part of this repository. PAHO_TESTING names a folder that has it; otherwise it is fetched from GitHub
once. Its licences are EPL and EDL.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import config
from fetched import checkout
from fanfare import Server

REPOSITORY = "https://github.com/eclipse-paho/paho.mqtt.testing"
COMMIT = "9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103"
CASE_SECONDS = 60
# Their tests sleep most of their time.
AT_ONCE = 6

CASES = {
    "client_test": """testBasic test_retained_messages will_message_test test_zero_length_clientid test_offline_message_queueing
        test_overlapping_subscriptions test_keepalive test_redelivery_on_reconnect test_subscribe_failure test_dollar_topics
        test_unsubscribe""",
    "client_test5": """test_basic test_retained_message test_will_message test_zero_length_clientid
        test_offline_message_queueing test_overlapping_subscriptions test_keepalive test_redelivery_on_reconnect
        test_subscribe_failure test_dollar_topics test_unsubscribe test_session_expiry test_shared_subscriptions
        test_user_properties test_payload_format test_publication_expiry test_subscribe_options test_assigned_clientid
        test_subscribe_identifiers test_request_response test_client_topic_alias test_server_topic_alias
        test_maximum_packet_size test_server_keep_alive test_flow_control1 test_flow_control2 test_will_delay""",
}
ALL = [(file, name) for file, names in CASES.items() for name in names.split()]

# What the suite takes for granted: a filter that is refused with 0x80 in both versions, a keep alive of 60 s for those who
# ask for 120, and a receive maximum that it can exceed.
PROFILE = config(
    anonymous_policies=["suite"],
    deny_code="unspecified",
    max_keepalive_s=60,
    receive_maximum=20,
    topic_alias_maximum=10,
)
# In a policy a filter is a text: "#" may be subscribed to, though it would match the topic that must not be.
PROFILE += """
[[iot.policies]]
name = "suite"
document = '''
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
  {"Effect": "Deny", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:*:topicfilter/test/nosubscribe"}]}
'''
"""


@pytest.fixture(scope="session")
def suite():
    folder = Path(os.environ["PAHO_TESTING"]) if "PAHO_TESTING" in os.environ else checkout(REPOSITORY, COMMIT)
    if folder is None:
        pytest.skip(f"no Paho suite: clone {REPOSITORY} and name its folder in PAHO_TESTING")
    return folder / "interoperability" if (folder / "interoperability").is_dir() else folder


def run(folder, file, name):
    """What a case has said, or None when it went well."""
    command = [sys.executable, str(Path(__file__).parent / "paho_case.py"), str(folder), file]
    with Server(config=PROFILE) as server:
        case = subprocess.Popen(
            [*command, str(server.mqtt_port), name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        try:
            said = case.communicate(timeout=CASE_SECONDS)[0]
        except subprocess.TimeoutExpired:
            case.kill()
            said = f"not done after {CASE_SECONDS} s\n{case.communicate()[0]}"
        return f"{said}\n--- log of the server\n{server.log()[-5_000:]}" if case.returncode else None


@pytest.fixture(scope="session")
def results(suite, request):
    """All chosen cases, begun together; each is a future."""
    chosen = [item.callspec.params["case"] for item in request.session.items if item.originalname == "test_paho_suite"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(run, suite, *case) for case in chosen}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", ALL, ids=lambda case: "-".join(case))
def test_paho_suite(results, case):
    """A test of the Paho suite."""
    failure = results[case].result()
    assert failure is None, failure
