"""Clients for what AWS IoT Core has around MQTT."""

import queue
from contextlib import contextmanager

import boto3
import paho.mqtt.client as paho
from botocore.config import Config
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes

PROFILE = "[mqtt]\nprofile = 'aws-iot'\n"


def data_plane(server, key="AKIDEXAMPLE", secret="anything"):
    """boto3's client of the IoT data plane. Development mode takes any keys, and SDKs must have some."""
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "local"}
    config = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20)
    return boto3.client("iot-data", endpoint_url=server.url, config=config, **keys)


class Device:
    """A paho client of MQTT 5 whose messages queue up."""

    def __init__(self, server, client_id, clean=True, expiry=0, will=None, password=None):
        self.messages = queue.Queue()
        self.left = queue.Queue()
        self.ready = queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self.client.reconnect_on_failure = False
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda client, data, flags, reason, properties: self.ready.put((reason, flags))
        self.client.on_subscribe = lambda client, data, mid, reasons, properties: self.ready.put(reasons)
        self.client.on_disconnect = lambda client, data, flags, reason, properties: self.left.put(reason)
        if password:
            self.client.username_pw_set("anybody", password)
        if will:
            self.client.will_set(*will, qos=1)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = expiry
        self.client.connect("127.0.0.1", server.mqtt_port, keepalive=60, clean_start=clean, properties=properties)
        self.client.loop_start()
        reason, self.flags = self.ready.get(timeout=10)
        assert not reason.is_failure, reason

    def subscribe(self, *filters, qos=1):
        self.client.subscribe([(text, paho.SubscribeOptions(qos=qos)) for text in filters])
        reasons = self.ready.get(timeout=10)
        assert not any(reason.is_failure for reason in reasons), reasons
        return self

    def publish(self, topic, payload, qos=1, **more):
        """Returns when the server has acknowledged it."""
        self.client.publish(topic, payload, qos=qos, **more).wait_for_publish(10)

    def next(self, seconds=10):
        return self.messages.get(timeout=seconds)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def kill(self):
        """As a crash of the device: the socket goes without a word."""
        self.client.loop_stop()
        self.client.socket().close()


@contextmanager
def device(server, client_id, *filters, **more):
    made = Device(server, client_id, **more)
    try:
        yield made.subscribe(*filters) if filters else made
    finally:
        made.close()
