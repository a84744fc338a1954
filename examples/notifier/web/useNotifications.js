import { useEffect, useState } from 'react'
import { login } from './backend.js'
import { keepConnected } from './client.js'

/** A React hook: what has been sent to `user` since the page was opened, newest first, and how the connection is. */
export function useNotifications(user) {
  const [state, setState] = useState('connecting')
  const [notifications, setNotifications] = useState([])

  useEffect(() => {
    const ended = new AbortController()
    const onMessage = (message) => {
      // The other messages are answers to whoami, with which the client keeps the connection alive.
      if (message.text) setNotifications((earlier) => [message, ...earlier])
    }
    keepConnected({ getUrl: () => login(user), onMessage, onState: setState, signal: ended.signal })
    return () => ended.abort()
  }, [user])

  return { state, notifications }
}
