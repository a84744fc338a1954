//! Work that outlives the process: it is kept on disk until it is done.
//!
//! A [`Queue`] holds items with bounds of number and size. [`Queue::put`] writes an item to the log
//! and tells by [`Committed`] when it is on disk; whoever put it works on it, writes down with
//! [`Item::put_off`] how far that has come, and forgets it with [`Item::finish`]. After a restart
//! [`Queue::open`] gives back what is not finished. The queue does not know what the work is, and
//! when it is given up.
//!
//! **An item may be worked on twice**: when the server ends after the work and before its end is on
//! disk, and when the disk does not take that end.
//!
//! | module  | story                                                |
//! |---------|------------------------------------------------------|
//! | `queue` | the queue: bounds, ids, what a restart finds          |
//! | `item`  | one item: its age, its next try, its end              |
//! | `form`  | an item in bytes                                      |
//! | `clock` | the time of day, which tests can move                 |

mod clock;
mod form;
mod item;
mod queue;

pub use clock::Clock;
pub use form::Progress;
pub use item::Item;
pub use queue::{Bounds, Committed, PutError, Queue, Room};
