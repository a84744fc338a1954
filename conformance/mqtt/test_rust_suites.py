"""Two suites that try one requirement of the standards after the other: mqtt-conformance (3.1.1 and 5.0) and mqtt5-conformance.

Neither is part of this repository. MQTT_CONFORMANCE and MQTT5_CONFORMANCE name their programs; otherwise they are fetched
and built once, where the network allows it.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import config
from fanfare import Server
from fetched import built, checkout

PER_ID = ("https://github.com/jforge/mqttconformance", "580a40630682a400b4e86ef41e3610ce9616746e")
FIVE = ("https://github.com/LabOverWire/mqtt-lib", "fcdebe0eb6fae7fdd3829eaae99911f81fe5fa36")

# The suite wants 0x85 for an empty client id without a clean start; the standard has the server assign an id.
MISTAKES_OF_THE_SUITE = {"5": {"MQTT-3.1.3-3"}, "3.1.1": set()}

# Two things that the standard leaves to the server and this suite does not: it wants a copy for each of a client's
# subscriptions, where the suite of Paho (and we) want one with all identifiers.
CHOICES_OF_THE_SUITE = {"overlapping_subs_max_qos_delivered", "overlapping_subs_subscription_ids_per_copy"}

SUT = """
name = "fanfare"
address = "mqtt://127.0.0.1:{mqtt}"
ws_address = "ws://127.0.0.1:{http}/mqtt"
[capabilities]
topic_alias_maximum = 16
server_receive_maximum = 256
maximum_packet_size = 1114112
[capabilities.transports]
tcp = true
websocket = true
"""


def program(variable, repository, package, binary):
    if variable in os.environ:
        return Path(os.environ[variable])
    folder = checkout(*repository)
    if folder is None:
        pytest.skip(f"no {binary}: build it from {repository[0]} and name the program in {variable}")
    return built(folder, package, binary)


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_mqtt_conformance(version):
    """Every requirement that mqtt-conformance tries."""
    suite = program("MQTT_CONFORMANCE", PER_ID, "mqtt-conformance", "mqtt-conformance")
    with Server(config=config()) as server:
        command = [suite, "run", "-H", "127.0.0.1", "-p", str(server.mqtt_port), "-v", version]
        said = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    failed = set(re.findall(r"✗ (MQTT-[\d.]+-\d+)", said))
    passed = int(re.search(r"(\d+) passed", said)[1])
    assert failed == MISTAKES_OF_THE_SUITE[version], said
    assert passed == {"3.1.1": 124, "5": 105}[version], said


@pytest.mark.timeout(1_500)
def test_mqtt5_conformance(tmp_path):
    """Every test of mqtt5-conformance; one that fails may have been late, so it is tried again by itself."""
    suite = program("MQTT5_CONFORMANCE", FIVE, "mqtt5-conformance-cli", "mqtt5-conformance")
    with Server(config=config()) as server:
        sut, report = tmp_path / "sut.toml", tmp_path / "report.json"
        sut.write_text(SUT.format(mqtt=server.mqtt_port, http=server.port))
        common = [suite, "--sut", sut]
        first = subprocess.run([*common, "--report", report, "--test-threads", "4"], capture_output=True, text=True, timeout=900)
        failed = re.findall(r"^test \S+::(\w+) .*FAILED$", first.stdout, re.MULTILINE)
        again = {}
        for name in failed:
            for _ in range(3):
                one = subprocess.run([*common, name], capture_output=True, text=True, timeout=120)
                again[name] = one.stdout if one.returncode else None
                if one.returncode == 0:
                    break
    assert json.loads(report.read_text()), first.stdout[-2_000:]
    count = int(re.search(r"(\d+) passed", first.stdout)[1]) + len(failed)
    wrong = {name: said[-1_500:] for name, said in again.items() if said and name not in CHOICES_OF_THE_SUITE}
    assert not wrong, "\n".join(f"{name}\n{said}" for name, said in wrong.items())
    assert count >= 180, first.stdout[-2_000:]
