//! Topic rules.
pub(crate) mod filter;
