//! A session that begins as a copy of another one.

use bobbin::protocol::{ErrorCode, Identity};
use serde_json::json;

use crate::harness::{Harness, thread, thread_of};
use crate::support::{Copying, Hop, Host, forked};

/// Of a fork that is made at once.
fn fork(from: &mut Harness, message_id: Option<&str>) -> Harness {
    let mut host = Host::of("s2", from.host.config, 9, None);
    assert_eq!(forked(&mut from.host, &mut host, message_id), Hop::Done);
    host.evict();
    Harness::of(host)
}

/// A page of two records of what is copied of the current path, and its place in that.
fn hop(copying: &mut Copying, from: &mut Harness, to: &mut Host) -> Hop {
    from.host.store.page_max.set(Some(2));
    let hop = if copying.takes() { copying.take(&mut from.host, to) } else { copying.give(&from.host, to) };
    from.host.store.page_max.set(None);
    hop
}

fn copying() -> Copying {
    Copying::new(None, (Identity::anyone(), Identity::anyone()))
}

fn finish(copying: &mut Copying, from: &mut Harness, to: &mut Host) -> Hop {
    loop {
        let hop = hop(copying, from, to);
        if hop != Hop::On {
            return hop;
        }
    }
}

fn said(h: &mut Harness) -> Vec<(String, String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let history = h.history("somebody");
    history.iter().map(|it| (text(&it["role"]), text(&it["content"]), text(&it["status"]))).collect()
}

#[test]
fn a_fork_has_the_messages_of_the_path_in_order_and_goes_on() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.finish_with("r1", "first");
    h.finish_with("r2", "second");
    h.edit("ann", "r3", "r2", "three");
    h.finish_with("r3", "third");
    h.regenerate("ann", "r4", "r3");
    h.finish_with("r4", "fourth");
    let mut copy = fork(&mut h, None);
    assert_eq!(said(&mut copy), said(&mut h));
    assert_eq!(copy.session()["messageCount"], 4);
    copy.greet("ann");
    let asked = copy.history("ann")[0]["requestId"].as_str().unwrap().to_owned();
    copy.edit("ann", "n1", &asked, "anew");
    copy.finish_with("n1", "new");
    assert_eq!(copy.session()["messageCount"], 2);
    copy.wait(60_000);
    let delivered = &copy.host.deliveries.back().expect("a delivery").0;
    assert!(delivered.content.is_some());
}

#[test]
fn a_fork_ends_with_the_requested_message() {
    let mut h = thread();
    h.greet("ann");
    let (_, a1) = h.talk("ann", "r1", "one", "first");
    let (q2, _) = h.talk("ann", "r2", "two", "second");
    h.edit("ann", "r3", "r1", "elsewhere");
    h.say("ann", "r4", "queued");
    assert_eq!(said(&mut fork(&mut h, Some(&a1))).len(), 2);
    let mut with_question = fork(&mut h, Some(&q2));
    let last = said(&mut with_question).pop().unwrap();
    assert_eq!(last, ("assistant".into(), String::new(), "cancelled".into()));
    assert_eq!(with_question.session()["messageCount"], 4);
    assert_eq!(with_question.session()["state"], "idle");
    // A turn that runs or waits is left out, and a copy without messages is no session.
    let running = h.host.store.records[&h.turn("r3")].message_id.clone();
    let mut nothing = Host::of("s2", h.host.config, 9, None);
    let refused = forked(&mut h.host, &mut nothing, Some(&running));
    assert_eq!(refused, Hop::Refused(ErrorCode::Conflict));
}

#[test]
fn appended_answers_are_copied_too() {
    let mut h = thread();
    h.greet("ann");
    h.talk("ann", "r1", "one", "first");
    let post = bobbin::protocol::Post {
        request_id: "a1".into(),
        content: bobbin::protocol::Content::Text("by the way".into()),
        is_answer: true,
        ..bobbin::protocol::Post::default()
    };
    h.post("program", post, false);
    h.talk("ann", "r2", "two", "second");
    let mut copy = fork(&mut h, None);
    assert_eq!(said(&mut copy), said(&mut h));
    assert_eq!(copy.session()["messageCount"], 5);
    let parents = |h: &mut Harness| {
        let history = h.history("somebody");
        let at = |id: &serde_json::Value| history.iter().position(|message| message["id"] == *id);
        history.iter().map(|message| at(&message["parentId"])).collect::<Vec<_>>()
    };
    assert_eq!(parents(&mut copy), parents(&mut h));
    assert_eq!(json!(copy.history("ann")[2]["content"]), "by the way");
}

#[test]
fn an_answer_is_copied_with_its_question_while_another_answer_to_it_is_made() {
    let mut h = thread();
    h.greet("ann");
    let (_, a1) = h.talk("ann", "r1", "one", "first");
    h.regenerate("ann", "r2", "r1");
    let mut copy = fork(&mut h, Some(&a1));
    let texts: Vec<_> = said(&mut copy).into_iter().map(|(role, text, _)| (role, text)).collect();
    assert_eq!(texts, [("user".into(), "one".into()), ("assistant".into(), "first".into())]);
}

#[test]
fn of_turns_that_run_at_once_all_that_are_over_are_copied() {
    let mut h = thread_of(2);
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.finish_with("r2", "second");
    h.finish_with("r1", "first");
    assert_eq!(said(&mut fork(&mut h, None)), said(&mut h));
}

#[test]
fn what_happens_while_it_is_made_is_not_in_it_by_half() {
    let mut h = thread_of(2);
    h.greet("ann");
    h.talk("ann", "r0", "zero", "nothing");
    h.say("ann", "r1", "one");
    h.talk("ann", "r2", "two", "second");
    let (mut copying, mut to) = (copying(), Host::of("s2", h.host.config, 9, None));
    for _ in 0..3 {
        assert_eq!(hop(&mut copying, &mut h, &mut to), Hop::On);
    }
    h.finish_with("r1", "first");
    assert_eq!(finish(&mut copying, &mut h, &mut to), Hop::Done);
    let texts: Vec<_> = said(&mut Harness::of(to)).into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(texts, ["zero", "nothing", "two", "second"]);
}

#[test]
fn a_fork_that_is_asked_for_again_is_of_the_path_that_it_began_with() {
    let mut h = thread();
    h.greet("ann");
    h.talk("ann", "r1", "one", "first");
    h.talk("ann", "r2", "two", "second");
    let before = said(&mut h);
    let mut to = Host::of("s2", h.host.config, 9, None);
    let mut broken_off = copying();
    for _ in 0..3 {
        assert_eq!(hop(&mut broken_off, &mut h, &mut to), Hop::On);
    }
    to.crash(false);
    h.edit("ann", "r3", "r1", "elsewhere");
    h.finish_with("r3", "third");
    assert_eq!(finish(&mut copying(), &mut h, &mut to), Hop::Done);
    assert_eq!(finish(&mut copying(), &mut h, &mut to), Hop::Done);
    assert_eq!(said(&mut Harness::of(to)), before);
}

#[test]
fn of_two_forks_of_one_id_that_are_made_at_once_neither_takes_pages_of_the_other() {
    let mut h = thread();
    h.greet("ann");
    let (_, a1) = h.talk("ann", "r1", "one", "first");
    h.talk("ann", "r2", "two", "second");
    let mut to = Host::of("s2", h.host.config, 9, None);
    let mut whole = copying();
    for _ in 0..3 {
        assert_eq!(hop(&mut whole, &mut h, &mut to), Hop::On);
    }
    let mut other = Copying::new(Some(a1), (Identity::anyone(), Identity::anyone()));
    for _ in 0..2 {
        assert_eq!(hop(&mut other, &mut h, &mut to), Hop::On);
    }
    assert_eq!(hop(&mut other, &mut h, &mut to), Hop::Done);
    assert_eq!(finish(&mut whole, &mut h, &mut to), Hop::Refused(ErrorCode::Conflict));
    assert_eq!(said(&mut Harness::of(to)).len(), 2);
}

#[test]
fn a_page_that_arrives_after_the_pages_before_it_were_dropped_does_not_complete_the_fork() {
    let mut h = thread();
    h.greet("ann");
    h.talk("ann", "r1", "one", "first");
    let (_, a2) = h.talk("ann", "r2", "two", "second");
    h.talk("ann", "r3", "three", "third");
    let before = said(&mut h);
    let mut to = Host::of("s2", h.host.config, 9, None);
    let mut late = copying();
    let mut hops = |copying: &mut Copying, h: &mut Harness, count: usize| {
        for _ in 0..count {
            assert_eq!(hop(copying, h, &mut to), Hop::On);
        }
    };
    // Its last page is on its way as another fork begins, and then this one anew.
    hops(&mut late, &mut h, 6);
    hops(&mut Copying::new(Some(a2), (Identity::anyone(), Identity::anyone())), &mut h, 3);
    hops(&mut copying(), &mut h, 3);
    hops(&mut late, &mut h, 1);
    assert_eq!(finish(&mut late, &mut h, &mut to), Hop::Done);
    assert_eq!(said(&mut Harness::of(to)), before);
}

impl Harness {
    fn finish_with(&mut self, request_id: &str, text: &str) {
        self.agent(request_id, vec![crate::harness::said(text), crate::harness::finished()]);
    }
}
