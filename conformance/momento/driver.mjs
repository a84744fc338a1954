// An SDK of Momento for JavaScript with its strings outside: a command comes as an object, what it came to is the answer,
// and what happens to subscriptions is told. Node, Chromium and jsdom share it; `clients.py` is at the other end.
//
//   {"do": "publish", "port": 8080, "key": null, "cache": "c", "topic": "t", "text": "x"}     -> {"type": "Success"}
//   {"do": "subscribe", "port": 8080, "key": "...", "cache": "c", "topic": "t", "name": "s1"} -> {"type": "Subscription"}
//   told: {"of": "s1", "event": "item", "text": "x", "number": 1, "token": "", "at": 1763737200.1}
//
// Bytes are in base64, times in seconds since 1970. Events carry the name of the SDK's callback.

const now = () => Date.now() / 1000;
const encode = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
const decode = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function failure(response) {
  return { type: response.type ?? "Error", code: response.errorCode(), message: response.message() };
}

/** What an SDK's response says. `more` reads what only a success has. */
function outcome(response, more = () => ({})) {
  return response.type === "Error" ? failure(response) : { type: response.type, ...more(response) };
}

function payload(item) {
  return typeof item.value() === "string" ? { text: item.valueString() } : { binary: encode(item.valueUint8Array()) };
}

function discontinuity(found) {
  return { last: found.lastSequenceNumber(), new: found.newSequenceNumber(), page: found.newSequencePage() };
}

/** The callbacks of one subscription. */
function callbacks(of, tell) {
  const told = (event, more) => tell({ of, event, at: now(), ...more });
  return {
    onItem: (item) => told("item", { ...payload(item), number: item.sequenceNumber(), token: item.tokenId() ?? "" }),
    onError: (error) => told("error", failure(error)),
    onHeartbeat: () => told("heartbeat"),
    onDiscontinuity: (found) => told("discontinuity", discontinuity(found)),
    onConnectionLost: () => told("lost"),
    onSubscriptionEnd: () => told("end"),
  };
}

function webhook({ id, topicName, destination }) {
  return { name: id.webhookName, cache: id.cacheName, topic: topicName, url: destination.url() };
}

function cacheInfo(cache) {
  return { name: cache.getName(), topicLimits: cache.getTopicLimits(), cacheLimits: cache.getCacheLimits() };
}

function apiKey({ apiKey: key, refreshToken, endpoint, expiresAt }) {
  return { key, refresh: refreshToken, endpoint, expires: expiresAt.doesExpire() ? expiresAt.epoch() : null };
}

/**
 * `sdk` is a package of Momento. `provider({ port, key })` makes its credentials, `configuration` says how its clients are.
 * `tell` is called with what happens to subscriptions.
 */
export function driver(sdk, { provider, configuration, tell }) {
  const clients = new Map();
  const subscriptions = new Map();
  const make = {
    topics: (credentialProvider) => new sdk.TopicClient({ credentialProvider, configuration: configuration.topics }),
    auth: (credentialProvider) => new sdk.AuthClient({ credentialProvider }),
    caches: (credentialProvider) =>
      new sdk.CacheClient({ credentialProvider, configuration: configuration.caches, defaultTtlSeconds: 60 }),
  };
  const client = (kind, { port, key, tls }) => {
    const known = JSON.stringify([kind, port, key, tls]);
    if (!clients.has(known)) clients.set(known, make[kind](provider({ port, key, tls })));
    return clients.get(known);
  };
  const topics = (asked) => client("topics", asked);
  const caches = (asked) => client("caches", asked);

  const commands = {
    async publish(asked) {
      const value = asked.text ?? decode(asked.binary);
      return outcome(await topics(asked).publish(asked.cache, asked.topic, value));
    },
    async subscribe(asked) {
      const response = await topics(asked).subscribe(asked.cache, asked.topic, callbacks(asked.name, tell));
      if (response.type === "Subscription") subscriptions.set(asked.name, response);
      return outcome(response);
    },
    async unsubscribe({ name }) {
      subscriptions.get(name).unsubscribe();
      subscriptions.delete(name);
      return { type: "Success" };
    },
    async token({ permissions, lifetime, id, ...asked }) {
      const options = id === null ? {} : { tokenId: id };
      const scope = permissions.map(({ all, ...one }) => (all ? { ...one, cache: sdk.AllCaches, topic: sdk.AllTopics } : one));
      const expiry = sdk.ExpiresIn.seconds(lifetime);
      const response = await client("auth", asked).generateDisposableToken({ permissions: scope }, expiry, options);
      const more = ({ authToken, endpoint, expiresAt }) => ({ key: authToken, endpoint, expires: expiresAt.epoch() });
      return outcome(response, more);
    },
    async generateApiKey({ permissions, lifetime, ...asked }) {
      const scope = permissions === null ? sdk.AllDataReadWrite : { permissions };
      const expiry = lifetime === null ? sdk.ExpiresIn.never() : sdk.ExpiresIn.seconds(lifetime);
      return outcome(await client("auth", asked).generateApiKey(scope, expiry), apiKey);
    },
    refreshApiKey: async ({ refresh, ...asked }) => outcome(await client("auth", asked).refreshApiKey(refresh), apiKey),
    createCache: async (asked) => outcome(await caches(asked).createCache(asked.cache)),
    deleteCache: async (asked) => outcome(await caches(asked).deleteCache(asked.cache)),
    listCaches: async (asked) =>
      outcome(await caches(asked).listCaches(), (found) => ({ caches: found.getCaches().map(cacheInfo) })),
    flushCache: async (asked) => outcome(await caches(asked).flushCache(asked.cache)),
    get: async (asked) => outcome(await caches(asked).get(asked.cache, "a key")),
    async putWebhook({ name, topic, url, ...asked }) {
      const response = await topics(asked).putWebhook(asked.cache, name, { topicName: topic, destination: url });
      return outcome(response, (found) => ({ secret: found.secretString() }));
    },
    listWebhooks: async (asked) =>
      outcome(await topics(asked).listWebhooks(asked.cache), (found) => ({ webhooks: found.getWebhooks().map(webhook) })),
    getWebhookSecret: async (asked) =>
      outcome(await topics(asked).getWebhookSecret(asked.cache, asked.name), (found) => ({ secret: found.secret() })),
    rotateWebhookSecret: async (asked) =>
      outcome(await topics(asked).rotateWebhookSecret(asked.cache, asked.name), (found) => ({ secret: found.secret() })),
    deleteWebhook: async (asked) => outcome(await topics(asked).deleteWebhook(asked.cache, asked.name)),
    /** Ends all that was begun. */
    async reset() {
      for (const one of subscriptions.values()) one.unsubscribe();
      for (const one of clients.values()) one.close?.();
      subscriptions.clear();
      clients.clear();
      return { type: "Success" };
    },
    /** For what was told since, where it is fetched. */
    look: async () => ({ type: "Success" }),
  };
  return async (asked) => {
    try {
      return await commands[asked.do](asked);
    } catch (error) {
      return { type: "Thrown", code: String(error?.errorCode?.() ?? error?.name), message: String(error?.stack ?? error) };
    }
  };
}
