//! A platform for the pump: its store, its sockets, its agents, its alarm, its D1, all in
//! memory and in virtual time, and all able to fail.

// Each test crate uses a part of it.
#![allow(dead_code, unused_imports)]

mod d1;
mod host;
mod random;
mod store;

pub use d1::Index;
pub use host::{Faults, Frame, Host, Link, Seen, Sudden, World};
pub use random::Random;
pub use store::MemoryStore;
