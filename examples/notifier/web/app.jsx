import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { notify } from './backend.js'
import { useNotifications } from './useNotifications.js'

function App() {
  const [user, setUser] = useState('')
  return (
    <>
      <h1>Notifier</h1>
      {user ? <Inbox user={user} /> : <Login onLogin={setUser} />}
    </>
  )
}

function Login({ onLogin }) {
  return (
    <form id="login" action={(fields) => onLogin(fields.get('user'))}>
      <input name="user" placeholder="Your name" required autoFocus />
      <button>Log in</button>
    </form>
  )
}

function Inbox({ user }) {
  const { state, notifications } = useNotifications(user)
  const [outcome, setOutcome] = useState('')

  async function send(fields) {
    const to = fields.get('user')
    const sent = notify(to, fields.get('text'))
    setOutcome(await sent.then((count) => `Sent to ${count} open page(s) of ${to}.`, String))
  }

  return (
    <>
      <p id="state" data-state={state}>
        {user}: {state}
      </p>
      <form id="notify" action={send}>
        <input name="user" defaultValue={user} aria-label="To" required />
        <input name="text" placeholder="Text" required />
        <button>Notify</button>
      </form>
      <p id="outcome">{outcome}</p>
      <ul id="notifications">
        {notifications.map(({ text }, index) => (
          <li key={notifications.length - index}>{text}</li>
        ))}
      </ul>
    </>
  )
}

createRoot(document.querySelector('main')).render(
  <StrictMode>
    <App />
  </StrictMode>
)
