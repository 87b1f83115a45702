//! A seed drives clients, agents, networks, clocks, crashes and failing stores. A small model of the truth checks
//! every output and every client.
//!
//! The same seed gives the same run, byte for byte.

#![allow(dead_code)]

mod allowance;
mod asking;
mod calls;
mod client;
mod debts;
mod fate;
mod follower;
mod forks;
mod parts;
mod paths;
mod people;
mod pieces;
mod plan;
mod posting;
mod rights;
mod settle;
mod shrink;
mod steps;
mod tabs;
mod telling;
mod traffic;
mod truth;
mod view;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use plan::Plan;
pub use shrink::shrink;
use world::World;

/// What is wrong, in words.
pub type Check<T = ()> = Result<T, String>;

#[derive(Debug)]
pub struct Outcome {
    /// Everything that was sent and stored, in order, if the run has a trace.
    pub fingerprint: u64,
    pub stats: Stats,
    pub failure: Option<String>,
    pub trace: Vec<String>,
}

macro_rules! stats {
    ($($name:ident: $doc:literal),* $(,)?) => {
        /// Counts the events of a run, so that an idle simulation does not pass unnoticed.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $(#[doc = $doc] pub $name: u64),*
        }

        impl Stats {
            pub fn add(&mut self, other: &Stats) {
                $(self.$name += other.$name;)*
            }

            /// The name of each count.
            pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

stats! {
    frames: "That went out.",
    turns: "That ended.",
    wakes: "Of the thread.",
    crashes: "Of the object, and panics.",
    failed_writes: "Of commits and alarms.",
    resumes: "Connects at a known cursor.",
    resets: "Snapshots that replace what a client holds.",
    cancels: "Of turns.",
    interrupted: "Turns that broke off.",
    retries: "Calls of an agent after one that failed.",
    timeouts: "Turns whose agents were silent for too long.",
    deliveries: "To D1.",
    refusals: "Of frames.",
    deletions: "Of sessions.",
    forbidden: "Frames that their senders' roles do not allow.",
    limited: "Frames and connects beyond an allowance.",
    expired: "Sockets whose tokens expired.",
    strangers: "Sockets and connects of people with no part in the session.",
    waits: "Turns that began to wait for people.",
    answers: "Of people to calls.",
    rounds: "Calls of an agent after those of an answer were answered.",
    posts: "Messages and answers by HTTP.",
    appended: "Answers that nobody asked for.",
    superseded: "Turns that ended as another message came.",
    branches: "Ways that the path went.",
    conflicts: "Frames about what is not on the path.",
    asked: "Requests of stock clients.",
    told: "Pieces of turns that these were told.",
    shown: "Of their requests, those that were told a turn to its end.",
    forks: "Requests for forks.",
    forked: "Sessions that began as forks.",
    unreadable: "Wakes from a store of which a part cannot be read.",
}

pub fn run_seed(seed: u64) -> Outcome {
    run(&Plan::from_seed(seed), false)
}

pub fn run(plan: &Plan, with_trace: bool) -> Outcome {
    let mut world = World::new(plan, with_trace);
    let result = catch_unwind(AssertUnwindSafe(|| world.run(plan)));
    let failure = match result {
        Ok(result) => result.err(),
        Err(panic) => Some(format!("panic: {}", words(panic.as_ref()))),
    };
    Outcome {
        fingerprint: world.truth.fingerprint,
        stats: world.truth.stats,
        failure,
        trace: world.trace.unwrap_or_default(),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words").to_owned()
}
