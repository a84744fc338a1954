//! Who calls the AWS-style interfaces, and what policies let them do.
