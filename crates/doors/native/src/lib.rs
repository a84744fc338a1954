//! The native door: a small JSON protocol over WebSocket, SSE, streams and long poll.
