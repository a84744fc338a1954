// The peer of the comparison: Bun's own WebSocket server with its own topics, in its natural form.
// One incoming message is one publish. `GET /<topic>` subscribes, `GET /<topic>?publisher` does not.
// BUN_PUBLISH=turn collects the messages of one turn and publishes them after it, outside of the
// message handler: uWebSockets is known to be slower above 32 publishes inside one handler, and a
// careful user would work around it like this. Both forms are measured, the better one is compared.

const publishAfterTurn = process.env.BUN_PUBLISH === "turn";
let waiting = [];

function publishWaiting() {
  const messages = waiting;
  waiting = [];
  for (const [topic, text] of messages) server.publish(topic, text);
}

function publishLater(topic, text) {
  if (waiting.length === 0) setImmediate(publishWaiting);
  waiting.push([topic, text]);
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  fetch(request, server) {
    const url = new URL(request.url);
    const data = { topic: url.pathname.slice(1), isPublisher: url.search === "?publisher" };
    if (server.upgrade(request, { data })) return;
    return new Response("ready\n");
  },
  websocket: {
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    backpressureLimit: 64 * 1024 * 1024,
    open(ws) {
      if (!ws.data.isPublisher) ws.subscribe(ws.data.topic);
    },
    message(ws, text) {
      if (publishAfterTurn) publishLater(ws.data.topic, text);
      else ws.publish(ws.data.topic, text);
    },
  },
});

console.log(`listening ${server.port}`);
