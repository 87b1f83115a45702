//! D1 and R2 fail for an hour.

use bobbin::protocol::Identity;
use bobbin::thread::{Delivered, File, FileState, Input};
use serde_json::json;

use crate::harness::{Harness, finished, said, thread};
use crate::support::Databases;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// The runtime hibernates an idle object after about ten seconds.
const IDLE_MS: u64 = 10_000;
/// The maximum number of attempts in an hour: nine until the backoff has grown to five minutes, half of which
/// may be jitter, and then one every two and a half minutes.
const TRIES_MAX: usize = 9 + 24;
/// An object that hibernates in between knows only for how long there has been something to do, and also
/// tries once for each of six messages.
const TRIES_HIBERNATING_MAX: usize = TRIES_MAX + 4 + 6;

#[derive(Clone, Copy, PartialEq)]
enum Away {
    Fails,
    Hangs,
}

/// The hour, in which somebody goes on talking.
struct Outage {
    h: Harness,
    how: Away,
    hibernates: bool,
    deliveries: usize,
    removals: usize,
}

#[test]
fn while_d1_and_r2_fail_for_an_hour_turns_go_on_retries_are_few_and_nothing_is_lost() {
    an_hour(Away::Fails, false);
}

#[test]
fn while_d1_and_r2_fail_for_an_hour_a_hibernating_thread_does_not_retry_more_often() {
    an_hour(Away::Fails, true);
}

#[test]
fn while_d1_and_r2_are_silent_for_an_hour_turns_go_on_retries_are_few_and_nothing_is_lost() {
    an_hour(Away::Hangs, false);
}

fn an_hour(how: Away, hibernates: bool) {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r0", "before");
    h.agent("r0", vec![said("it"), finished()]);
    let mut databases = Databases::default();
    back(&mut h, &mut databases);
    upload(&mut h, "here");
    h.host.bucket.insert("here".into());
    h.host.pump(Input::Uploaded { id: "here".into() });

    let mut outage = Outage { h, how, hibernates, deliveries: 0, removals: 0 };
    let began = outage.h.host.now;
    for minute in 0..60 {
        outage.until(began + minute * MINUTE_MS);
        if minute % 10 == 0 {
            outage.talk(&format!("r{}", minute + 1));
            // An upload that breaks off, because the bucket takes none.
            let id = format!("lost{minute}");
            upload(&mut outage.h, &id);
            outage.h.host.pump(Input::FileLost { id });
        }
    }
    outage.until(began + HOUR_MS);
    let Outage { mut h, deliveries, removals, .. } = outage;
    let bounds = 5..=if hibernates { TRIES_HIBERNATING_MAX } else { TRIES_MAX };
    assert!(bounds.contains(&deliveries), "{deliveries} deliveries in an hour");
    assert!(bounds.contains(&removals), "{removals} removals in an hour");
    assert_eq!(databases.held().messages.len(), 2, "nothing came through");

    back(&mut h, &mut databases);
    let held = databases.held();
    let said: Vec<u64> =
        h.host.store.records.values().filter(|record| record.is_message()).map(|record| record.seq).collect();
    let mut there: Vec<u64> = held.messages.values().map(|(seq, _)| *seq).collect();
    there.sort_unstable();
    assert_eq!((there.len(), there), (14, said));
    assert_eq!(held.session.unwrap().2.message_count, 14);
    let files: Vec<&String> = h.host.store.files.keys().collect();
    assert_eq!(files, ["here"], "what broke off is gone, and what had come is there");
    assert_eq!(h.host.bucket.iter().collect::<Vec<_>>(), ["here"]);
    assert_eq!(h.host.alarm, h.host.store.files["here"].due);
}

impl Outage {
    /// Advances time; every request to D1 or R2 on the way fails.
    fn until(&mut self, at: u64) {
        loop {
            self.refuse();
            let Some(next) = self.h.next_at().filter(|next| *next <= at) else { break };
            if self.hibernates && next >= self.h.host.now + IDLE_MS && self.h.host.may_be_evicted() {
                self.h.host.evict();
            }
            self.h.step();
        }
        self.h.host.now = at;
    }

    fn refuse(&mut self) {
        loop {
            let (deliveries, removals) = (self.h.host.deliveries.len(), self.h.host.removals.len());
            self.h.host.deliveries.clear();
            self.h.host.removals.clear();
            self.deliveries += deliveries;
            self.removals += removals;
            if self.how == Away::Hangs || deliveries + removals == 0 {
                return;
            }
            for _ in 0..deliveries {
                self.h.host.pump(Input::DeliveryFailed);
            }
            for _ in 0..removals {
                self.h.host.pump(Input::FilesNotRemoved);
            }
        }
    }

    /// Makes a turn, of which the client hears at once.
    fn talk(&mut self, request_id: &str) {
        self.h.frames("ann");
        self.h.say("ann", request_id, "hello");
        self.h.agent(request_id, vec![said("hi"), finished()]);
        let frames =
            [json!({ "type": "user_message" }), json!({ "type": "token" }), json!({ "type": "final" })];
        self.h.expect("ann", &frames);
    }
}

/// D1 and R2 work again, until nothing is left to do for an hour.
fn back(h: &mut Harness, databases: &mut Databases) {
    let until = h.host.now + HOUR_MS;
    loop {
        if let Some((delivery, _)) = h.host.deliveries.pop_front() {
            let found = databases.apply(&delivery);
            h.host.pump(Input::Delivered(Delivered::new(&delivery, found)));
        } else if let Some((ids, _)) = h.host.removals.pop_front() {
            h.host.bucket.retain(|id| !ids.contains(id));
            h.host.pump(Input::FilesRemoved { ids });
        } else if h.next_at().is_some_and(|at| at <= until) {
            h.step();
        } else {
            return;
        }
    }
}

fn upload(h: &mut Harness, id: &str) {
    h.host.pump(Input::Upload(File {
        id: id.into(),
        name: format!("{id}.bin"),
        media_type: "application/octet-stream".into(),
        size: 5,
        uploader: Identity::anyone().subject,
        state: FileState::Coming,
        due: None,
    }));
}
