"""Momento's SDK for Python, asked line by line, as node.mjs is. The commands stand in driver.mjs.

The SDK is used as an asynchronous application does. Where it keeps the event loop to itself, commands get no answer.
"""

import asyncio
import base64
import json
import os
import sys
import threading
import time
import warnings
from datetime import timedelta

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
warnings.simplefilter("ignore")

from momento import AuthClientAsync, CredentialProvider, TopicClientAsync, TopicConfigurations  # noqa: E402
from momento.auth.access_control.disposable_token_scopes import DisposableTokenScopes  # noqa: E402
from momento.config.auth_configurations import AuthConfigurations  # noqa: E402
from momento.config.transport.topic_transport_strategy import (  # noqa: E402
    StaticTopicGrpcConfiguration,
    StaticTopicTransportStrategy,
)
from momento.responses import TopicPublish, TopicSubscribe, TopicSubscriptionItem  # noqa: E402
from momento.utilities.expiration import ExpiresIn  # noqa: E402

# The deadline counts for streams too: with the default of 5 s no subscription lives longer.
DEADLINE = timedelta(days=1)


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def failure(response):
    return {"type": "Error", "code": response.error_code.name, "message": response.message}


def provider(port, key, tls):
    if key is None:
        return CredentialProvider.for_momento_local(host="127.0.0.1", port=port)
    if tls:
        here = f"localhost:{port}"
        return CredentialProvider.from_string(key, cache_endpoint=here, control_endpoint=here, token_endpoint=here)
    inner = json.loads(base64.b64decode(key))["api_key"]
    return CredentialProvider(inner, "127.0.0.1", "127.0.0.1", "127.0.0.1", port)


class Driver:
    def __init__(self):
        self.clients, self.subscriptions, self.readers = {}, {}, []

    def client(self, port, key, tls=False):
        if (port, key) not in self.clients:
            strategy = StaticTopicTransportStrategy(StaticTopicGrpcConfiguration(deadline=DEADLINE))
            configuration = TopicConfigurations.Default(strategy, max_subscriptions=0)
            self.clients[port, key] = TopicClientAsync(configuration, provider(port, key, tls))
        return self.clients[port, key]

    async def publish(self, cache, topic, text=None, binary=None, **asked):
        value = text if binary is None else base64.b64decode(binary)
        response = await self.client(**asked).publish(cache, topic, value)
        return {"type": "Success"} if isinstance(response, TopicPublish.Success) else failure(response)

    async def subscribe(self, cache, topic, name, **asked):
        response = await self.client(**asked).subscribe(cache, topic)
        if isinstance(response, TopicSubscribe.Error):
            return failure(response)
        self.subscriptions[name] = response
        self.readers.append(asyncio.ensure_future(self.read(name, response)))
        return {"type": "Subscription"}

    async def read(self, name, subscription):
        async for item in subscription:
            at = time.time()
            if isinstance(item, TopicSubscriptionItem.Error):
                say(of=name, event="error", at=at, **failure(item))
                break
            is_text = isinstance(item, TopicSubscriptionItem.Text)
            value = {"text": item.value} if is_text else {"binary": base64.b64encode(item.value).decode()}
            say(of=name, event="item", at=at, number=item.sequence_number, page=item.sequence_page, **value)

    async def unsubscribe(self, name):
        self.subscriptions.pop(name).unsubscribe()
        return {"type": "Success"}

    async def token(self, cache, topic, lifetime, port, key, tls=False):
        client = AuthClientAsync(AuthConfigurations.Laptop.latest(), provider(port, key, tls))
        scope = DisposableTokenScopes.topic_subscribe_only(cache, topic)
        response = await client.generate_disposable_token(scope, ExpiresIn.seconds(lifetime))
        if not hasattr(response, "auth_token"):
            return failure(response)
        made = {"key": response.auth_token, "endpoint": response.endpoint, "expires": response.expires_at.epoch()}
        return {"type": "Success", **made}

    async def look(self):
        return {"type": "Success"}

    async def act(self, number, do, **asked):
        try:
            outcome = await getattr(self, do)(**asked)
        except Exception as error:  # noqa: BLE001 - whatever an SDK throws is an outcome
            outcome = {"type": "Thrown", "code": type(error).__name__, "message": str(error)}
        say(answer=number, **outcome)


def listen(loop, driver):
    for line in sys.stdin:
        asyncio.run_coroutine_threadsafe(driver.act(**json.loads(line)), loop)
    os._exit(0)


async def main():
    threading.Thread(target=listen, args=(asyncio.get_running_loop(), Driver()), daemon=True).start()
    await asyncio.Event().wait()


asyncio.run(main())
