//! What each command does, one file a command.

pub(crate) mod check;
pub(crate) mod credentials;
pub(crate) mod key;
pub(crate) mod passwd;
pub(crate) mod publish;
mod remote;
pub(crate) mod sub;
pub(crate) mod texts;
pub(crate) mod token;
