//! The contract between doors and the core, and the driver that moves bytes for every door.
