//! The core against naive models of what it promises, through its public face alone.
#![cfg(test)]

mod grants;
mod history;
mod matching;
mod model;
mod order;
mod passing;
mod presence;
mod publishing;
mod restart;
mod sessions;
mod sets;
mod support;
