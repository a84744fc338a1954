//! Events in the form of EventBridge: patterns, rules and what targets are sent.
