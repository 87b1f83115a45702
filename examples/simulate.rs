//! Runs the simulation over as many seeds as one wants.
//!
//! `cargo run --profile simulate --example simulate -- --seeds 100000 [--from 0]`, or `--seed 42` for one, in full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "../tests/simulation/mod.rs"]
mod simulation;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use simulation::{Plan, Stats, run, run_seed, shrink};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = number("--seed") {
        let outcome = run(&Plan::from_seed(seed), true);
        println!("{}", outcome.trace.join("\n"));
        if outcome.failure.is_some() {
            return show(seed);
        }
        println!("seed {seed} passes: {:?}", outcome.stats);
        return ExitCode::SUCCESS;
    }
    let (from, seeds) = (number("--from").unwrap_or(0), number("--seeds").unwrap_or(10_000));
    std::panic::set_hook(Box::new(|_| {}));
    let mut stats = Stats::default();
    for seed in from..from.saturating_add(seeds) {
        let outcome = run_seed(seed);
        if outcome.failure.is_some() {
            return show(seed);
        }
        stats.add(&outcome.stats);
    }
    println!("{seeds} seeds from {from} pass: {stats:?}");
    let mut seldom = stats.counts().filter(|(_, count)| *count < seeds / 40).map(|(name, _)| name).peekable();
    if seldom.peek().is_none() {
        return ExitCode::SUCCESS;
    }
    println!("the seeds do too little: {}", seldom.collect::<Vec<_>>().join(", "));
    ExitCode::FAILURE
}

fn show(seed: u64) -> ExitCode {
    let shortest = shrink(&Plan::from_seed(seed));
    let outcome = run(&shortest, true);
    println!("--- seed {seed}, its shortest run:\n{}", outcome.trace.join("\n"));
    println!("--- seed {seed} fails: {}", outcome.failure.unwrap_or_default());
    ExitCode::FAILURE
}
