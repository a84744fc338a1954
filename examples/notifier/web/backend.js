// What the page asks of the service that serves it (serve.py).

/** The address of the gateway, with a token that says who is connecting. */
export async function login(user) {
  return (await post('/login', { user })).url
}

/** Resolves to the number of connections that took the notification. */
export async function notify(user, text) {
  return (await post('/notify', { user, text })).delivered
}

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' }
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.error)
  return answer
}
