//! The durable log and small records on one machine.
