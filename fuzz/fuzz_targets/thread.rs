//! The simulation, with its steps chosen by the fuzzer instead of a seed.

#![no_main]

#[path = "../../tests/simulation/mod.rs"]
mod simulation;
#[path = "../../tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use simulation::{Plan, run, shrink};

fuzz_target!(|bytes: &[u8]| {
    let plan = Plan::from_bytes(bytes);
    if let Some(why) = run(&plan, false).failure {
        panic!("{why}\n{:#?}", shrink(&plan).steps);
    }
});
