"""Start, stop, reload, limits, and those who cannot keep up."""

import json
import re
import signal
import socket
import subprocess
import time

import pytest
import requests
from fanfare import Server, binary, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wire import Client, Refused, refusal, texts

SECRETS = ["the-first-secret-of-more-than-32-bytes", "the-second-secret-of-more-than-32-byte"]


def run(*args, **options):
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=20, **options)


def test_the_start_page(server):
    page = server.log()
    first = next(line for line in page.splitlines() if line.startswith("Fanfare "))
    assert f"127.0.0.1:{server.port}" in first
    assert f"{server.url}/console/" in page and str(server.data) in page
    # What it says can be done as it stands there.
    line = next(line for line in page.splitlines() if "/v1/publish" in line)
    done = subprocess.run(line.split(None, 1)[1] + " -sS", shell=True, capture_output=True, text=True, timeout=20)
    assert "position" in json.loads(done.stdout)
    console = requests.get(f"{server.url}/console/", timeout=10)
    assert console.status_code == 200 and "text/html" in console.headers["Content-Type"]


def test_the_command_line_as_the_start_page_says(server):
    line = next(line for line in server.log().splitlines() if "fanfare sub" in line)
    reader, writer = line.split(None, 1)[1].split("   and   ")
    reader = [binary(), *reader.split()[1:], "--count", "1", "--since", "all"]
    assert subprocess.run([binary(), *writer.split()[1:]], timeout=20, check=False).returncode == 0
    done = subprocess.run(reader, capture_output=True, text=True, timeout=20)
    assert done.stdout in ("hello\n",)


@pytest.mark.parametrize("option", ["--listen", "--mqtt-listen"])
def test_a_port_that_is_taken(option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        addresses = {"--listen": "127.0.0.1:0", "--mqtt-listen": "127.0.0.1:0", option: f"127.0.0.1:{port}"}
        done = run("serve", "--in-memory", *[word for pair in addresses.items() for word in pair])
    assert done.returncode == 2 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line and option in line


def test_misuse_is_told_in_one_line(tmp_path):
    done = run("serve", "--app", "app.toml", "--in-memory", "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "app.toml" in done.stderr


def test_sigterm_says_goodbye():
    with Server() as server:
        clients = [Client(server) for _ in range(20)]
        clients[0].subscribe("a")
        acknowledged = clients[1].publish("a", "x")
        stream = requests.get(f"{server.url}/v1/sse?topic=a", stream=True, timeout=10)
        lines = stream.iter_lines(chunk_size=1)
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        waits = set()
        for client in clients:
            bye, code = client.ending()
            assert (bye["type"], bye["code"], bye["retry"], code) == ("bye", "shutting_down", True, 1012)
            assert 0 <= bye["retry_ms"] <= 5_000
            waits.add(bye["retry_ms"])
        assert len(waits) > 1, "drawn at random for each"
        rest = [line.decode() for line in lines]
        assert any('"shutting_down"' in line for line in rest)
        assert server.wait() == 0
        server.start()
        with Client(server) as client:
            [message] = client.ask("history", topic="a")["messages"]
            assert message["position"] == acknowledged["position"]


def test_a_stop_is_announced_before_it_comes():
    with Server(config="[limits]\ndrain_grace_ms = 2000\n") as server:
        with Client(server) as client:
            client.subscribe("a")
            assert requests.get(f"{server.url}/readyz", timeout=10).status_code == 200
            server.process.send_signal(signal.SIGTERM)

            def is_announced():
                answer = requests.get(f"{server.url}/readyz", timeout=10)
                return [answer] if answer.status_code == 503 else None

            [answer] = wait_until(is_announced, "readiness to end", 1.5)
            assert answer.json()["code"] == "shutting_down"
            assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200
            # Meanwhile everything works for those who are here; who wants to stay is sent elsewhere.
            client.publish("a", "still")
            assert client.texts(1) == ["still"]
            assert requests.post(f"{server.url}/v1/publish?topic=a", data="late", timeout=10).status_code == 200
            assert client.texts(1) == ["late"]
            with pytest.raises(InvalidStatus) as refused:
                Client(server)
            assert refused.value.response.status_code == 503
            assert json.loads(refused.value.response.body)["code"] == "shutting_down"
            bye, code = client.ending()
            assert (bye["code"], code) == ("shutting_down", 1012)
        assert server.wait() == 0


def test_a_second_signal_ends_at_once():
    with Server(config="[limits]\ndrain_grace_ms = 30000\n") as server:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining" in server.log(), "the drain")
        wait_until(lambda: requests.get(f"{server.url}/readyz", timeout=10).status_code == 503, "the announcement")
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.wait(5) != 0 and time.monotonic() - begin < 4


def auth(secret, name="main"):
    return f'[auth]\n[[auth.keys]]\nid = "{name}"\nsecret = "{secret}"\n'


def make_token(server, *args):
    done = run("token", "--config", str(server.config), "--data", str(server.data), *args, cwd=server.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def reload(server, config):
    count = server.log().count("were read again") + server.log().count("stays as it was")
    server.config.write_text(config)
    server.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: server.log().count("were read again") + server.log().count("stays as it was") > count, "the reload"
    )


def test_sighup_reads_keys_limits_and_spaces_again():
    with Server(config=auth(SECRETS[0])) as server:
        old = make_token(server, "--sub", "ann", "--allow", "*:*/#")
        with Client(server, token=old) as client:
            assert client.welcome["limits"]["subscriptions"] == 1_000
            spaces = "[spaces.chat]\nmessage_bytes = 10\n[spaces.chat.history]\ncount = 2\n"
            reload(server, auth(SECRETS[1]) + "[limits]\nsubscriptions = 2\n" + spaces)
            client.quiet()
            client.subscribe("a")
            client.subscribe("b")
            assert refusal(client.subscribe, "c")["code"] == "too_many_subscriptions"
            for number in range(5):
                client.publish("a", str(number), space="chat")
            assert refusal(client.publish, "a", "x" * 11, space="chat")["code"] == "message_too_large"
            assert texts(client.ask("history", topic="a", space="chat")["messages"]) == ["3", "4"]
        with Client(server, hello=False) as client:
            assert refusal(client.connect, token=old)["code"] == "token_signature"
        with Client(server, token=make_token(server, "--sub", "ann", "--allow", "*:*/#")) as client:
            assert client.welcome["limits"]["subscriptions"] == 2


def test_sighup_with_a_broken_file_changes_nothing():
    with Server(config=auth(SECRETS[0])) as server:
        token = make_token(server, "--sub", "ann", "--allow", "*:*/#")
        reload(server, auth(SECRETS[1]) + "[limits]\nsubscriptions = 0\n")
        assert "limits.subscriptions" in server.log()
        with Client(server, token=token) as client:
            assert client.welcome["limits"]["subscriptions"] == 1_000


def flood(server, good, count, size=4_096):
    """Publishes, never far ahead of the reader that keeps up; what that one got."""
    seen = []
    with Client(server) as publisher:
        for begin in range(0, count, 10):
            for number in range(begin, begin + 10):
                publisher.send("publish", topic=f"room/{number % 4}", text=f"{number:08}".ljust(size, "."))
            seen += [int(text[:8]) for text in good.texts(10, 20)]
    return seen


def lazy(server, **options):
    """A client whose kernel takes little and whose reader takes nothing until it is told to."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    sock.connect(("127.0.0.1", server.port))
    return Client(server, sock=sock, max_queue=1, **options)


def rest(client, seconds=10):
    """All frames that still come: until the end, or until nothing has come for a second."""
    frames = list(client.waiting)
    client.waiting.clear()
    try:
        while True:
            frames.append(client.read(1))
    except TimeoutError:
        return frames, None
    except ConnectionClosed as closed:
        return frames, closed.rcvd.code if closed.rcvd else None


SLOW = "[limits]\noutbox_bytes = 262144\noutbox_age_ms = {age}\n[spaces.default]\nslow_consumer = \"{rule}\"\n"


def test_who_reads_too_slowly_is_shown_out_and_misses_nothing():
    count = 4_000
    config = SLOW.format(age=1_000, rule="disconnect") + "[spaces.default.history]\ncount = 100000\n"
    with Server(config=config) as server, Client(server) as good:
        good.subscribe(pattern="room/#")
        slow = lazy(server)
        slow.subscribe(pattern="room/#")
        assert flood(server, good, count) == list(range(count))
        shown = f"{server.url}/admin/v1/connections/{slow.welcome['connection']}"
        wait_until(lambda: requests.get(shown, timeout=10).status_code == 404, "the slow one to be shown out", 20)
        frames, code = rest(slow)
        if frames[-1]["type"] == "bye":
            bye = frames.pop()
            assert (bye["code"], bye["retry"]) == ("slow_consumer", True) and code in (1013, None)
        seen = [frame["text"][:8] for frame in frames]
        assert seen == [f"{number:08}" for number in range(len(seen))] and len(seen) < count
        place = frames[-1]["position"]
        with Client(server, resume=[{"pattern": "room/#", "since": place}]) as again:
            assert again.welcome["resumed"][0]["recovered"] is True
            seen += [text[:8] for text in again.texts(count - len(seen), 20)]
        assert seen == [f"{number:08}" for number in range(count)]
        good.quiet()


@pytest.mark.parametrize("rule", ["drop-oldest", "keep-latest"])
def test_who_reads_too_slowly_gets_the_newest(rule):
    count = 4_000
    with Server(config=SLOW.format(age=60_000, rule=rule)) as server, Client(server) as good:
        good.subscribe(pattern="room/#")
        slow = lazy(server)
        slow.subscribe(pattern="room/#")
        assert flood(server, good, count) == list(range(count))
        frames, code = rest(slow)
        assert code is None, "it stays"
        numbers = [int(frame["text"][:8]) for frame in frames if frame["type"] == "message"]
        assert len(numbers) < count
        assert numbers == sorted(set(numbers))
        newest = {number % 4: number for number in numbers}
        assert newest == {number % 4: number for number in range(count)}, "the last of each topic"
        slow.publish("room/0", "after".ljust(100))
        assert slow.texts(1)[0].startswith("after")
        slow.close()


def test_messages_topics_and_frames_have_bounds():
    config = "[limits]\nmessage_bytes = 100\nframe_bytes = 2048\ntopic_bytes = 10\n"
    with Server(config=config) as server, Client(server) as client:
        assert client.welcome["limits"]["message_bytes"] == 100
        assert client.welcome["limits"]["topic_bytes"] == 10
        client.publish("a" * 10, "x" * 100)
        assert refusal(client.publish, "a", "x" * 101)["code"] == "message_too_large"
        assert refusal(client.publish, "a", "x" * 90, properties={"k": "y" * 20})["code"] == "message_too_large"
        assert refusal(client.publish, "a" * 11, "x")["code"] == "invalid_topic"
        assert refusal(client.subscribe, "a" * 11)["code"].startswith("invalid_")
        assert refusal(client.subscribe, pattern="a/b/c/d/e/#")["code"] == "invalid_pattern"
        answer = requests.post(f"{server.url}/v1/publish?topic=a", data="x" * 101, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (413, "message_too_large")
        answer = requests.post(f"{server.url}/v1/publish?topic={'a' * 11}", data="x", timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_topic")
        answer = requests.post(f"{server.url}/v1/publish?topic=a", data="x" * 2_049, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (413, "message_too_large")
        client.socket.send("x" * 2_049)
        bye, code = client.ending()
        assert (bye["code"], code) == ("protocol_error", 1009)


def test_a_burst_of_handshakes_is_told_to_come_back():
    with Server(config="[limits]\nhandshakes_per_second = 2\n") as server:
        refused = []
        for _ in range(12):
            try:
                Client(server, hello=False).close()
            except InvalidStatus as error:
                refused.append(error.response)
        assert refused
        for response in refused:
            assert response.status_code == 503 and int(response.headers["Retry-After"]) >= 1
            body = json.loads(response.body)
            assert body["code"] == "overloaded" and body["retry"] is True and body["retry_ms"] > 0

        def is_let_in():
            try:
                Client(server).close()
                return True
            except InvalidStatus:
                return False

        wait_until(is_let_in, "a later handshake")


def test_one_address_has_so_many_connections():
    with Server(config="[limits]\nconnections_per_address = 5\n") as server:
        clients = []
        with pytest.raises((InvalidStatus, OSError, EOFError, ConnectionClosed, Exception)):
            for _ in range(10):
                clients.append(Client(server))
        assert 3 <= len(clients) <= 5
        for client in clients:
            client.quiet()
        clients.pop().close()

        def is_let_in():
            try:
                clients.append(Client(server))
                return True
            except Exception:
                return False

        wait_until(is_let_in, "another connection")
        for client in clients:
            client.close()


def metric(text, name, **labels):
    """The sum of a metric's samples that have these labels."""
    total, found = 0.0, False
    for line in text.splitlines():
        match = re.fullmatch(r"([a-zA-Z_:0-9]+)(?:\{(.*)\})? (\S+)(?: \S+)?", line)
        if match and match[1] == name:
            have = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if all(have.get(label) == value for label, value in labels.items()):
                total, found = total + float(match[3]), True
    assert found, f"no {name} {labels} in\n{text}"
    return total


def test_metrics_count():
    with Server() as server, Client(server) as reader, Client(server) as writer:
        reader.subscribe("a")
        for _ in range(10):
            writer.publish("a", "x" * 100)
        reader.take(10)
        refusal(writer.publish, "", "x")

        def is_counted():
            answer = requests.get(f"{server.url}/metrics", timeout=10)
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            text = answer.text
            assert text.endswith("# EOF\n")
            names = set(re.findall(r"^(\w+)(?:\{| )", text, re.M))
            published = [name for name in names if "published" in name or "messages_in" in name]
            return text if published and sum(metric(text, name) for name in published) >= 10 else None

        text = wait_until(is_counted, "the counts")
        assert "invalid_topic" in text
        assert "connections" in text


def test_check_tells_all_mistakes(tmp_path):
    broken = tmp_path / "fanfare.toml"
    broken.write_text(
        'listen = "127.0.0.1"\ncolour = 1\n[limits]\nsubscription = 5\nframe_bytes = "many"\n[tls]\ncert = "a.pem"\n'
        '[[auth.keys]]\nid = "main"\nsecret = "too short"\n'
    )
    done = run("check", str(broken))
    assert done.returncode == 1
    text = done.stdout + done.stderr
    for word in ("listen", "colour", "limits.subscription", "subscriptions", "limits.frame_bytes", "tls.", "auth.keys[0]"):
        assert word in text, (word, text)
    assert "too short" not in text.replace("too short:", ""), "secrets are not repeated"
    done = run("serve", "--config", str(broken), cwd=tmp_path)
    assert done.returncode == 2 and "limits.subscription" in done.stderr
    good = tmp_path / "good.toml"
    good.write_text(run("config").stdout)
    done = run("check", str(good))
    assert done.returncode == 0, done.stdout + done.stderr
