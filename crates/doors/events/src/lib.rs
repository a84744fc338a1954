//! The EventBridge door: events in, topics and functions out.
