//! The real-time core: topics, subscriptions, history, presence, grants. No protocol, no socket, no clock..
