//! A few runs, each determined by a seed. The step `simulate` of `npm test` makes many more of them: `cargo
//! run --profile simulate --example simulate -- --seeds 50000`.

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

use simulation::{Plan, run, run_seed, shrink};

const SEEDS: u64 = 300;

#[test]
fn whatever_happens_every_client_ends_with_the_stored_transcript() {
    for seed in 0..SEEDS {
        let outcome = run_seed(seed);
        if let Some(why) = outcome.failure {
            let shortest = shrink(&Plan::from_seed(seed));
            let again = run(&shortest, true);
            let trace = again.trace.join("\n");
            panic!("seed {seed}: {why}\n\nshortest trace:\n{trace}\n{}", again.failure.unwrap_or_default());
        }
    }
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
