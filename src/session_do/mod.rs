//! The Durable Object: a [`Thread`](crate::thread::Thread) and the platform it runs on.
//!
//! **Invariant:** this module decides nothing about turns, order or cursors. It carries out the thread's
//! outputs in order, and tells the thread the results.

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
