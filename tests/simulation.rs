//! Thousands of runs, each chosen by a seed. `cargo run --release --example simulate -- --seeds 1000000`
//! makes more of them, and shows a failing one in its shortest form.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "simulation/mod.rs"]
mod simulation;
#[path = "support/mod.rs"]
mod support;

use simulation::{Plan, Stats, run, run_seed, shrink};

const SEEDS: u64 = 2_000;

#[test]
fn whatever_happens_every_client_ends_with_the_transcript_that_is_stored() {
    let mut stats = Stats::default();
    for seed in 0..SEEDS {
        let outcome = run_seed(seed);
        if let Some(why) = outcome.failure {
            let shortest = shrink(&Plan::from_seed(seed));
            let again = run(&shortest, true);
            let trace = again.trace.join("\n");
            panic!("seed {seed}: {why}\n\nshortest trace:\n{trace}\n{}", again.failure.unwrap_or_default());
        }
        stats.add(&outcome.stats);
    }
    let seldom: Vec<_> = stats.counts().filter(|(_, count)| *count < SEEDS / 40).collect();
    assert!(seldom.is_empty(), "the seeds do too little: {seldom:?} of {stats:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 0..50 {
        let plan = Plan::from_seed(seed);
        let (one, other) = (run(&plan, true), run(&plan, true));
        assert_eq!(one.fingerprint, other.fingerprint, "seed {seed}");
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}
