//! Bounds of what one template may do.

/// The longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 300 * 1024;
/// Directives, brackets and quotes within each other in a template.
pub const NESTING_MAX: usize = 40;
/// Rounds of one `#foreach`; it ends without an error.
pub const ROUNDS_MAX: usize = 1000;
/// Steps of one rendering: a directive, an operator, a value made or looked at.
pub const STEPS_MAX: usize = 1_000_000;
/// Bytes of all texts that one rendering makes on its way.
pub const TEXT_BYTES_MAX: usize = 32 << 20;
/// Bytes that come out of one rendering.
pub const OUTPUT_BYTES_MAX: usize = 6 << 20;
/// Calls within calls, `#define` within `#define`, lists within lists when they print.
pub const DEPTH_MAX: usize = 128;
/// The longest regular expression of `matches`, `replaceAll`, `replaceFirst` and `split`, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;
