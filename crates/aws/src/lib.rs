//! What callers of AWS services sign and expect: Signature Version 4, credentials, error shapes.
