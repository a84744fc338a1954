//! A gateway inside a test, and a small vocabulary to talk to it.
