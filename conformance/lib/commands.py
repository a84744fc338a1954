"""Command line clients that run beside a test."""

import subprocess
from contextlib import ExitStack, contextmanager

from fanfare import binary, wait_until


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


def mosquitto_pub(server, topic, payload, *args, port=None, is_counted=True):
    """Publishes and waits until the server has counted it: nobody acknowledges quality of service 0. Not so what is
    refused, or where metrics are not open."""
    how, given = (["-s"], payload) if payload else (["-n"], None)
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", port or server.mqtt_port, "-t", topic, *how, *args]
    if not is_counted:
        return run(*command, input=given)
    before = server.metric("fanfare_messages_in_total")
    run(*command, input=given)
    return wait_until(lambda: server.metric("fanfare_messages_in_total") > before, "the publish")


def mosquitto_sub(server, pattern, count, *args, port=None):
    port = port or server.mqtt_port
    return running("mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-t", pattern, "-C", count, "-W", 20, *args)


@contextmanager
def subscribers(server, *makers):
    """The clients that the makers start, once all of them have subscribed."""
    with ExitStack() as stack:
        yield server.subscribed(lambda: [stack.enter_context(make()) for make in makers], len(makers))
