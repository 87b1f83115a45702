//! Data of a session elsewhere, and for how long it is kept: databases that are lost, several databases,
//! retention, and people who are to be forgotten.

use bobbin::protocol::Identity;
use bobbin::thread::{Config, Delivered, Delivery, Found, Input, Request, place};

use crate::harness::{Harness, thread, thread_with};

const DAY_MS: u64 = 86_400_000;

/// Returns a thread at rest with one turn that D1 has.
fn rested(config: Config) -> Harness {
    let mut h = thread_with(config);
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.finish("r1");
    h.deliver();
    h
}

/// Returns the next delivery, which finds this in D1.
fn deliver(h: &mut Harness, found: Found) -> Delivery {
    let (delivery, _) = h.host.deliveries.pop_front().expect("a delivery");
    h.host.pump(Input::Delivered(Delivered::new(&delivery, found)));
    delivery
}

fn named(database: &str, seq: Option<u64>) -> Found {
    Found { database: Some(database.into()), seq, erased_at: None }
}

fn count(delivery: &Delivery) -> usize {
    delivery.content.as_ref().map_or(0, |content| content.records.len())
}

#[test]
fn a_database_that_lost_the_session_gets_all_of_it_at_the_next_delivery() {
    for lost in [None, Some(2)] {
        let mut h = rested(Config::default());
        h.say("ann", "r2", "two");
        h.finish("r2");
        let delivery = deliver(&mut h, named("a", lost));
        assert_eq!((count(&delivery), delivery.expected), (2, 4), "what it lacked");
        let anew = deliver(&mut h, named("a", lost));
        assert_eq!((count(&anew), anew.expected, anew.deletes), (4, 0, true));
        assert!(h.host.deliveries.is_empty());
        assert_eq!(h.host.alarm, None);
    }
}

#[test]
fn another_database_gets_the_whole_session_whatever_it_has_of_it() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    deliver(&mut h, named("a", None));
    h.finish("r1");
    deliver(&mut h, named("a", Some(2)));
    h.host.evict();
    h.say("ann", "r2", "two");
    h.finish("r2");
    deliver(&mut h, named("b", Some(4)));
    assert_eq!(count(&deliver(&mut h, named("b", Some(8)))), 4);
    assert_eq!(h.host.store.checkpoint.as_ref().unwrap().database.as_deref(), Some("b"));
}

#[test]
fn a_crash_during_a_full_delivery_begins_it_again() {
    let mut h = rested(Config::default());
    h.say("ann", "r2", "two");
    h.finish("r2");
    deliver(&mut h, named("a", None));
    h.host.crash(true);
    h.host.deliveries.clear();
    while h.host.deliveries.is_empty() {
        h.step();
    }
    // D1 has a part of the log by now.
    let delivery = deliver(&mut h, named("a", Some(6)));
    assert_eq!(delivery.expected, 4);
    h.deliver();
    assert_eq!(h.host.store.checkpoint.as_ref().unwrap().delivered, 8);
}

#[test]
fn a_session_is_delivered_again_when_an_admin_asks_for_it() {
    let mut h = rested(Config::default());
    h.host.request(&Identity::anyone(), Request::DeliverAnew).unwrap();
    assert_eq!(count(&deliver(&mut h, named("a", Some(4)))), 2);
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_session_stays_in_the_database_that_it_began_in() {
    let mut h = rested(Config::default());
    h.host.config.databases = 64;
    h.host.evict();
    h.say("ann", "r2", "two");
    h.finish("r2");
    assert_eq!(h.host.deliveries.pop_front().unwrap().0.place, 0);
    let begun = rested(Config { databases: 64, ..Config::default() });
    assert_eq!(begun.host.store.checkpoint.as_ref().unwrap().place, place("s1", 64), "nobody owns it");
}

#[test]
fn the_database_of_an_earlier_life_deletes_it_before_another_learns_of_the_new_one() {
    let mut h = rested(Config::default());
    h.host.pump(Input::Delete);
    h.host.config.databases = 64;
    h.host.crash(true);
    h.host.deliveries.clear();
    assert_ne!(place("s1", 64), 0);
    h.host.pump(Input::Deadline);
    h.greet("bob");
    h.say("bob", "r2", "two");
    let first = deliver(&mut h, Found::default());
    assert_eq!((first.place, first.deletes, count(&first)), (0, true, 0));
    let second = deliver(&mut h, Found::default());
    // A backup may have restored an earlier life in that database too.
    assert_eq!((second.place, second.deletes, count(&second)), (place("s1", 64), true, 1));
    assert!(!h.host.store.owes_deletion());
}

#[test]
fn an_earlier_life_that_a_backup_restored_is_deleted_even_after_a_crash() {
    let mut h = rested(Config::default());
    h.host.pump(Input::Delete);
    assert!(deliver(&mut h, Found::default()).deletes);
    h.greet("bob");
    h.say("bob", "r2", "two");
    h.host.crash(true);
    h.host.deliveries.clear();
    h.wait(20_000);
    let first = deliver(&mut h, Found::default());
    assert!(first.deletes && count(&first) > 0, "{first:?}");
}

#[test]
fn an_unused_session_is_deleted_in_time_and_a_use_postpones_that() {
    let mut h = rested(Config { retention_ms: 30 * DAY_MS, ..Config::default() });
    let first = h.host.alarm.expect("an alarm");
    assert_eq!(first, h.host.now + 30 * DAY_MS);
    h.wait(20 * DAY_MS);
    // After another use, the alarm is written once, as it is without retention.
    h.say("ann", "r2", "two");
    h.finish("r2");
    h.deliver();
    assert_eq!(h.host.alarm, Some(h.host.now + 30 * DAY_MS));
    h.wait(29 * DAY_MS);
    assert!(h.host.store.checkpoint.is_some());
    h.wait(DAY_MS);
    h.deliver();
    assert!(h.host.store.checkpoint.is_none() && h.host.store.records.is_empty());
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_thread_that_slept_before_there_was_a_retention_is_swept() {
    let mut h = rested(Config::default());
    assert_eq!(h.host.alarm, None);
    h.host.config.retention_ms = DAY_MS;
    h.host.evict();
    h.host.fire_timer();
    assert_eq!(h.host.alarm, None, "to wake writes nothing");
    for _ in 0..2 {
        h.seen();
        h.host.request(&Identity::anyone(), Request::Sweep).unwrap();
        assert_eq!(h.host.alarm, Some(h.host.now + DAY_MS));
    }
    h.wait(DAY_MS);
    assert!(h.host.store.checkpoint.is_none());
}

#[test]
fn a_turn_that_runs_is_a_use_however_long_it_takes() {
    let config = Config { retention_ms: 1, agent_turn_timeout_ms: DAY_MS, ..Config::default() };
    let mut h = thread_with(Config { agent_idle_timeout_ms: DAY_MS, ..config });
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "so far");
    h.wait(60_000);
    assert!(h.host.store.checkpoint.is_some());
    h.finish("r1");
    h.deliver();
    h.wait(60_000);
    assert!(h.host.store.checkpoint.is_none());
}

#[test]
fn a_session_of_a_forgotten_subject_is_deleted_once_d1_hears_of_it() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    let at = h.host.now;
    let before = Found { erased_at: Some(at - 1), ..Found::default() };
    deliver(&mut h, before);
    assert!(h.host.store.checkpoint.is_some(), "it began later");
    h.finish("r1");
    deliver(&mut h, Found { seq: Some(2), erased_at: Some(at), ..Found::default() });
    assert!(h.host.store.checkpoint.is_none());
    assert!(deliver(&mut h, Found::default()).deletes);
}

#[test]
fn a_subjects_name_is_taken_off_its_messages() {
    let mut h = thread();
    h.join_with_token("bob", None);
    h.say("bob", "r1", "one");
    h.finish("r1");
    h.host.request(&Identity::anyone(), Request::Forget { author: "bob".into() }).unwrap();
    assert!(h.host.store.records.values().all(|record| record.author().is_none()));
    assert_eq!(h.host.store.records.len(), 2);
}

#[test]
fn the_journals_interval_is_configurable() {
    for (journal_ms, wanted) in [(490, 20), (2_000, 5), (5_000, 2)] {
        let mut h = thread_with(Config { journal_ms, ..Config::default() });
        h.greet("ann");
        h.say("ann", "r1", "one");
        let before = h.host.store.rows_written;
        for _ in 0..500 {
            h.text("r1", "word ");
            h.wait(20);
        }
        let rows = h.host.store.rows_written - before;
        assert!(rows.abs_diff(wanted) <= 1, "{rows} rows in 10 s at {journal_ms} ms");
    }
}
