//! AWS IoT without a network: the rules' SQL and device shadows.
