//! The Durable Object: a [`Thread`](crate::thread::Thread) and the platform it runs on.
//!
//! **Invariant:** decides nothing about turns, order or cursors. It carries out what the thread puts
//! out, in order, and tells it what came of it.

mod agents;
mod analytics;
mod api;
mod files;
mod forks;
mod index;
mod lines;
mod logs;
mod notify;
mod object;
mod own;
mod schema;
mod shell;
mod sockets;
mod stock;
mod store;
mod tickets;
mod upstream;
mod workerd;
