use bobbin::protocol::limits::{DELIVERY_DELAY_MS, DELIVERY_RETRY_MS_MIN, DELIVERY_TIMEOUT_MS, GUARD_MS};
use bobbin::thread::Input;
use serde_json::json;

use crate::harness::{Harness, finished, said, thread};
use crate::support::Seen;

#[test]
fn a_thread_at_rest_has_no_alarm_no_deadline_and_one_checkpoint() {
    let mut h = rested();
    assert_eq!((h.host.alarm, h.host.timer(), h.deadline()), (None, None, None));
    assert_eq!(h.host.store.checkpoint.as_ref().unwrap().delivered, 4);
    h.wait(1_000_000);
    assert_eq!(deliveries(&mut h), 0);
}

#[test]
fn an_alarm_guards_whatever_is_unfinished_and_is_set_before_it_begins() {
    let mut h = thread();
    h.greet("ann");
    h.seen();
    h.say("ann", "r1", "one");
    assert!(matches!(h.seen()[0], Seen::Alarm(Some(_))));
    h.agent("r1", vec![said("x"), finished()]);
    assert!(h.host.alarm.is_some());
    h.deliver();
    assert_eq!(h.host.alarm, None);
}

#[test]
fn failed_deliveries_are_retried_with_growing_backoff() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("x"), finished()]);
    let mut waits = Vec::new();
    for _ in 0..3 {
        h.host.deliveries.clear();
        let failed_at = h.host.now;
        h.host.pump(Input::DeliveryFailed);
        while h.host.deliveries.is_empty() {
            h.wait(1);
        }
        waits.push(h.host.now - failed_at);
    }
    for (nth, wait) in waits.iter().enumerate() {
        let longest = DELIVERY_RETRY_MS_MIN << nth;
        assert!((longest / 2..=longest).contains(wait), "{waits:?}");
    }
    h.deliver();
    assert_eq!(h.host.alarm, None);
}

#[test]
fn an_unanswered_delivery_is_retried() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.finish("r1");
    h.host.deliveries.clear();
    h.seen();
    h.wait(DELIVERY_TIMEOUT_MS - 1);
    assert_eq!(deliveries(&mut h), 0);
    h.wait(1 + DELIVERY_RETRY_MS_MIN);
    assert_eq!(deliveries(&mut h), 1);
    h.deliver();
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_delivery_that_a_crash_left_unanswered_is_retried() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.finish("r1");
    h.host.crash(false);
    h.host.deliveries.clear();
    h.wait(DELIVERY_TIMEOUT_MS);
    let (delivery, _) = h.host.deliveries.front().unwrap();
    assert_eq!(delivery.content.as_ref().unwrap().records.len(), 2);
    h.deliver();
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_sessions_first_message_is_delivered_at_once() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    assert_eq!(deliveries(&mut h), 1);
}

#[test]
fn a_later_message_is_delivered_together_with_its_quick_answer() {
    let mut h = rested();
    h.say("ann", "r2", "two");
    let guarded_until = h.host.alarm.unwrap();
    h.agent("r2", vec![said("y")]);
    h.wait(DELIVERY_DELAY_MS - 1);
    assert_eq!(deliveries(&mut h), 0);
    // This is the turn's own alarm, which moves with it; the delivery asks for none.
    assert_eq!(h.host.alarm, Some(guarded_until + GUARD_MS));
    h.agent("r2", vec![finished()]);
    assert_eq!(deliveries(&mut h), 1);
    let (delivery, _) = h.host.deliveries.front().unwrap();
    assert_eq!(delivery.content.as_ref().unwrap().records.len(), 2);
}

#[test]
fn a_later_message_does_not_wait_long_for_a_slow_answer() {
    let mut h = rested();
    h.say("ann", "r2", "two");
    assert_eq!(h.host.alarm, Some(h.host.now + GUARD_MS));
    h.wait(DELIVERY_DELAY_MS);
    assert_eq!(deliveries(&mut h), 1);
    h.deliver();
    h.say("ann", "r3", "three");
    assert_eq!(deliveries(&mut h), 1);
}

#[test]
fn clients_never_wait_for_a_delivery() {
    let mut h = rested();
    h.say("ann", "r2", "two");
    h.agent("r2", vec![said("y"), finished()]);
    h.expect(
        "ann",
        &[json!({ "type": "user_message" }), json!({ "type": "token" }), json!({ "type": "final" })],
    );
}

fn rested() -> Harness {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("x"), finished()]);
    h.deliver();
    h.frames("ann");
    h.wait(1_000);
    h.seen();
    h
}

fn deliveries(h: &mut Harness) -> usize {
    h.seen().iter().filter(|seen| matches!(seen, Seen::Delivering(_))).count()
}
