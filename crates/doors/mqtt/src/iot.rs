//! What makes the door one of AWS IoT: rules that act on messages.

pub(crate) mod rules;
