//! The Lambda door: calls of functions by AWS SDKs.
