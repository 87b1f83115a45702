use bobbin::protocol::limits::{COALESCE_MS_MIN, COALESCE_TIMER_PART, DELIVERY_RETRY_MS_MIN, JOURNAL_MS};
use bobbin::thread::{Config, Input};
use serde_json::json;

use crate::harness::{Harness, thread, thread_with};

const HOUR_MS: u64 = 3_600_000;

#[test]
fn a_clock_that_is_set_back_does_not_delay_text() {
    let mut h = answering(Config::default());
    h.host.now -= HOUR_MS;
    h.text("r1", "b");
    h.wait(COALESCE_MS_MIN + COALESCE_MS_MIN / COALESCE_TIMER_PART);
    h.expect("ann", &[json!({ "type": "token", "token": "b" })]);
}

#[test]
fn a_clock_that_is_set_back_does_not_delay_the_journal() {
    let mut h = answering(Config::default());
    h.text("r1", "b");
    h.host.now -= HOUR_MS;
    h.text("r1", "c");
    h.wait(JOURNAL_MS);
    let turn = h.turn("r1");
    assert_eq!(h.host.store.journal_of(turn).unwrap().text, "abc");
}

#[test]
fn a_clock_that_is_set_back_does_not_delay_an_agents_timeout() {
    let mut h = answering(Config { agent_idle_timeout_ms: 1_000, ..Config::default() });
    h.wait(600);
    h.host.now -= HOUR_MS;
    h.greet("bob");
    h.wait(399);
    h.expect_nothing("ann");
    // The time since the last input is lost when the clock is set back.
    h.wait(1 + 600 - JOURNAL_MS);
    h.expect("ann", &[json!({ "type": "error", "error": { "code": "AGENT_TIMEOUT" } })]);
}

#[test]
fn a_clock_that_is_set_back_does_not_delay_a_retried_delivery() {
    let mut h = answering(Config::default());
    h.finish("r1");
    h.wait(10_000);
    h.host.deliveries.clear();
    h.host.pump(Input::DeliveryFailed);
    h.host.now -= HOUR_MS;
    h.host.pump(Input::Deadline);
    h.wait(2 * DELIVERY_RETRY_MS_MIN);
    assert!(!h.host.deliveries.is_empty());
}

#[test]
fn an_allowance_recovers_after_the_clock_was_set_back() {
    let mut h = thread_with(Config { messages_per_minute: 1, ..Config::default() });
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.frames("ann");
    h.host.now -= HOUR_MS;
    h.say("ann", "r2", "two");
    h.expect("ann", &[json!({ "type": "error", "error": { "code": "RATE_LIMITED" } })]);
    h.wait(60_000);
    h.say("ann", "r3", "three");
    h.expect("ann", &[json!({ "type": "user_message" }), json!({ "type": "queued" })]);
}

fn answering(config: Config) -> Harness {
    let mut h = if config == Config::default() { thread() } else { thread_with(config) };
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.text("r1", "a");
    h.frames("ann");
    h
}
