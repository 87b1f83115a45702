//! A platform for the pump. Its store, sockets, agents, alarm and D1 are all in memory and in virtual time, and all
//! of them can fail.

// Each test crate uses a part of it.
#![allow(dead_code, unused_imports)]

mod d1;
mod fork;
mod frame;
mod host;
mod random;
mod rows;
mod scripted;
mod store;
mod told;
mod world;

pub use d1::{Databases, Index};
pub use fork::{Copying, Hop, Page, forked};
pub use frame::{Frame, Head};
pub use host::Host;
pub use random::Random;
pub use store::{MemoryStore, Spoilt};
pub use told::{Run, UiSocket, UiStream};
pub use world::{Faults, Link, Seen, Sudden, World};
