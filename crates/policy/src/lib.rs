//! Policy documents of AWS IoT and IAM, compiled to grants.
