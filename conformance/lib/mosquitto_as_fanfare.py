#!/usr/bin/env python3
"""Mosquitto where the suites expect Fanfare: it takes the same arguments and becomes the broker.

With FANFARE=conformance/lib/mosquitto_as_fanfare.py the suites of conformance/mqtt judge another server, which shows
whether they are fair. MQTT over TCP is at --mqtt-listen, over WebSocket at --listen.
"""

import argparse
import os
import socket
import sys
import tomllib
from pathlib import Path

# Keys of [mqtt] and what Mosquitto calls them. What it has no word for stays as it is.
KEYS = {
    "max_keepalive_s": "max_keepalive",
    "receive_maximum": "max_inflight_messages",
    "topic_alias_maximum": "max_topic_alias",
    "packet_bytes": "max_packet_size",
}
DEFAULTS = {"receive_maximum": 256, "topic_alias_maximum": 16, "packet_bytes": 1_114_112}


def free(address):
    host, port = address.rsplit(":", 1)
    with socket.create_server((host, int(port))) as found:
        return found.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    for name in ("data", "listen", "mqtt-listen", "config"):
        parser.add_argument(f"--{name}")
    asked = parser.parse_args()
    keys = dict(DEFAULTS)
    if asked.config:
        keys.update(tomllib.loads(Path(asked.config).read_text()).get("mqtt", {}))
    data = Path(asked.data)
    (data / "web").mkdir(parents=True, exist_ok=True)
    (data / "web/healthz").write_text("ok")
    web, mqtt = free(asked.listen), free(asked.mqtt_listen)
    user = "user root" if os.getuid() == 0 else ""
    lines = [f"persistence true\npersistence_location {data}/\nallow_anonymous true\nmax_queued_messages 0\n{user}"]
    lines += [f"{KEYS[name]} {value}" for name, value in keys.items() if value and name in KEYS]
    lines += [f"listener {mqtt} 127.0.0.1", f"listener {web} 127.0.0.1\nprotocol websockets\nhttp_dir {data}/web"]
    conf = data / "mosquitto.conf"
    conf.write_text("\n".join([*lines, ""]))
    print(f"mosquitto listens on 127.0.0.1:{web}, 127.0.0.1:{mqtt}", flush=True)
    os.execvp("mosquitto", ["mosquitto", "-c", str(conf)])


sys.exit(main())
