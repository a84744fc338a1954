"""Command line clients that run beside a test."""

import subprocess
from contextlib import contextmanager

from fanfare import binary


def run(*command, input=None, seconds=20):
    """Runs to the end; its output."""
    done = subprocess.run([str(part) for part in command], input=input, capture_output=True, timeout=seconds)
    assert done.returncode == 0, (command, done)
    return done.stdout


@contextmanager
def running(*command):
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def lines_of(process, seconds=20):
    """The lines of a client that ends by itself."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, (process.args, process.returncode, out, err)
    return out.decode().splitlines()


def fanfare_pub(server, topic, payload, *args):
    return run(binary(), "pub", topic, payload, "--url", server.url, *args)


def fanfare_sub(server, pattern, count, *args):
    return running(binary(), "sub", pattern, "--count", count, "--url", server.url, *args)


def mosquitto_pub(server, topic, payload, *args, port=None):
    return run("mosquitto_pub", "-h", "127.0.0.1", "-p", port or server.mqtt_port, "-t", topic, "-s", *args, input=payload)


def mosquitto_pub_empty(server, topic, *args):
    return run("mosquitto_pub", "-h", "127.0.0.1", "-p", server.mqtt_port, "-t", topic, "-n", *args)


def mosquitto_sub(server, pattern, count, *args, port=None):
    port = port or server.mqtt_port
    return running("mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-t", pattern, "-C", count, "-W", 20, *args)
