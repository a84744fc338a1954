//! User code that doors call: by name, with an event, within a time.
