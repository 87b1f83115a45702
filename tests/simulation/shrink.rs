//! Finds the shortest run that still fails.

use super::{Plan, run};

/// Leaves out runs of steps, long ones first, as long as the run still fails.
pub fn shrink(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let mut length = plan.steps.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        while from < plan.steps.len() {
            let mut shorter = plan.clone();
            shorter.steps.drain(from..(from + length).min(plan.steps.len()));
            if run(&shorter, false).failure.is_some() {
                plan = shorter;
            } else {
                from += length;
            }
        }
        length /= 2;
    }
    plan
}
