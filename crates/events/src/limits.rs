//! Every bound of this crate in one place.

/// Longest event pattern, in characters.
pub const PATTERN_CHARS_MAX: usize = 4_096;
/// Deepest nesting of a pattern.
pub const PATTERN_DEPTH_MAX: usize = 64;
/// How many ways to choose one alternative of every `$or` a pattern may have.
pub const PATTERN_COMBINATIONS_MAX: usize = 1_000;
/// Most entries of one PutEvents request.
pub const ENTRIES_MAX: usize = 10;
/// Most bytes of all entries of one PutEvents request together.
pub const ENTRIES_BYTES_MAX: usize = 262_144;
/// What an entry's `Time` counts, in bytes.
pub const ENTRY_TIME_BYTES: usize = 14;
/// Most rules on one event bus.
pub const RULES_MAX: usize = 300;
/// Most targets of one rule.
pub const TARGETS_MAX: usize = 100;
/// Most event buses, the default one included.
pub const BUSES_MAX: usize = 100;
/// Longest name of a rule, in characters of `.`, `-`, `_`, letters and digits.
pub const RULE_NAME_MAX: usize = 64;
/// Longest name of an event bus, in the characters of a rule's name.
pub const BUS_NAME_MAX: usize = 256;
/// Longest id of a target, in the characters of a rule's name.
pub const TARGET_ID_MAX: usize = 64;
/// Longest target ARN, in bytes.
pub const ARN_BYTES_MAX: usize = 1_600;
/// Longest description, in characters.
pub const DESCRIPTION_MAX: usize = 512;
/// Longest constant input of a target, in bytes.
pub const INPUT_TEXT_MAX: usize = 8_192;
/// Largest input a transformer may produce, in bytes.
pub const INPUT_BYTES_MAX: usize = 262_144;
/// Longest path into an event, in bytes.
pub const PATH_BYTES_MAX: usize = 256;
/// Longest input template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 8_192;
/// Most variables of an input transformer.
pub const VARIABLES_MAX: usize = 100;
/// Longest topic or user that a template may render, in bytes.
pub const RENDERED_BYTES_MAX: usize = 1_024;
/// Most results on one page of a list.
pub const PAGE_MAX: usize = 100;
/// Most deliveries that one request or routed event may cause: a full bus.
pub const DELIVERIES_MAX: usize = RULES_MAX * TARGETS_MAX;
/// Most bytes of inputs made for the deliveries of one request together.
pub const MADE_BYTES_MAX: usize = 64 << 20;
