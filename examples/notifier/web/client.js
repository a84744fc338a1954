// A WebSocket connection that is kept up. Plain JavaScript, without React and without a build.

const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000
// A connection that lasted this long was a good one: after its loss the delays begin anew.
const GOOD_MS = 10_000
// API Gateway ends connections on which nothing was said for ten minutes.
const KEEP_ALIVE_MS = 5 * 60_000

/**
 * Keeps one connection up until `signal` says that it is no longer needed.
 *
 * Being a loop, it cannot have two connections or two attempts at the same time, whatever events come in which order.
 * Delays have full jitter: when a server restarts, its clients do not come back all at once.
 *
 * @param {object} options
 * @param {() => Promise<string>} options.getUrl asked before every attempt, so that its token is fresh
 * @param {(message: object) => void} options.onMessage
 * @param {(state: 'connecting' | 'open' | 'waiting') => void} options.onState
 * @param {AbortSignal} options.signal
 */
export async function keepConnected({ getUrl, onMessage, onState, signal, firstDelayMs = FIRST_DELAY_MS }) {
  let failures = 0
  while (!signal.aborted) {
    onState('connecting')
    const openMs = await connectOnce({ getUrl, onMessage, onState, signal })
    if (signal.aborted) return
    onState('waiting')
    failures = openMs >= GOOD_MS ? 0 : failures + 1
    await sleep(Math.random() * Math.min(MAX_DELAY_MS, firstDelayMs * 2 ** failures))
  }
}

/** One connection, from asking for its URL to its end. Resolves to the time for which it was open, and never rejects. */
async function connectOnce({ getUrl, onMessage, onState, signal }) {
  const url = await getUrl().catch(() => null)
  if (!url || signal.aborted) return 0
  const socket = new WebSocket(url)
  const close = () => socket.close()
  const whoami = () => socket.send('{"action": "whoami"}')
  signal.addEventListener('abort', close)
  let openedAt, keepAlive
  socket.onopen = () => {
    openedAt = Date.now()
    keepAlive = setInterval(whoami, KEEP_ALIVE_MS)
    onState('open')
    whoami()
  }
  socket.onmessage = ({ data }) => signal.aborted || onMessage(JSON.parse(data))
  // A failed attempt ends with this event as well. A browser does not say why it failed.
  await new Promise((ended) => (socket.onclose = ended))
  clearInterval(keepAlive)
  signal.removeEventListener('abort', close)
  return openedAt ? Date.now() - openedAt : 0
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms))
}
