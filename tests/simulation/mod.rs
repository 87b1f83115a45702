//! A seed drives clients, agents, networks, clocks, crashes and failing stores; a small model of the truth
//! watches every output and every client.
//!
//! The same seed gives the same run, byte for byte.

#![allow(dead_code)]

mod client;
mod settle;
mod shrink;
mod steps;
mod traffic;
mod truth;
mod view;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use shrink::shrink;
pub use steps::Plan;
use world::World;

/// What is wrong, in words.
pub type Check<T = ()> = Result<T, String>;

#[derive(Debug)]
pub struct Outcome {
    /// Of all that was sent and stored, in order.
    pub fingerprint: u64,
    pub stats: Stats,
    pub failure: Option<String>,
    pub trace: Vec<String>,
}

/// What a run had in it; so that nobody takes an idle simulation for a passing one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub frames: u64,
    pub turns: u64,
    pub wakes: u64,
    pub crashes: u64,
    pub failed_writes: u64,
    pub resumes: u64,
    pub resets: u64,
    pub cancels: u64,
    pub interrupted: u64,
    pub deliveries: u64,
    pub refusals: u64,
    pub deletions: u64,
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

impl Stats {
    pub fn add(&mut self, other: &Stats) {
        self.frames += other.frames;
        self.turns += other.turns;
        self.wakes += other.wakes;
        self.crashes += other.crashes;
        self.failed_writes += other.failed_writes;
        self.resumes += other.resumes;
        self.resets += other.resets;
        self.cancels += other.cancels;
        self.interrupted += other.interrupted;
        self.deliveries += other.deliveries;
        self.refusals += other.refusals;
        self.deletions += other.deletions;
    }
}
