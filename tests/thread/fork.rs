//! A session that begins as a copy of another one.

use bobbin::protocol::{ErrorCode, Json, to_json};
use bobbin::thread::store::{Commit, Write};
use bobbin::thread::{Copied, Copying};
use serde_json::json;

use crate::harness::{Harness, thread};
use crate::support::Host;

/// Does the object's part: takes pages of the source, newest first, and makes one commit of the copy.
fn fork(from: &Harness, message_id: Option<&str>) -> Harness {
    let (mut pages, mut before, mut through) = (Vec::new(), u64::MAX >> 11, message_id.map(str::to_owned));
    loop {
        let thread = from.host.thread().unwrap();
        let Copied { through: last, messages, before: earlier, .. } =
            thread.copied(&from.host.store, through.as_deref(), before, "s1").unwrap();
        pages.extend(messages);
        through = Some(last);
        match earlier {
            Some(earlier) => before = earlier,
            None => break,
        }
    }
    pages.sort_by_key(|(seq, _)| *seq);
    let mut host = Host::new(from.host.config, 9);
    host.pump(bobbin::thread::Input::Deadline);
    let begun = host.thread().unwrap();
    let mut copying = Copying::new("s1".into(), begun.epoch(), host.now);
    let mut writes = Vec::new();
    for (_, message) in pages {
        writes.extend(copying.take(&Json::parse(&to_json(&message)).unwrap()));
    }
    writes.extend(copying.finish());
    let checkpoint = begun.begun_as(&copying, None, None);
    let first = [Write::Create(checkpoint)].into_iter();
    host.store.apply(&Commit(first.chain(writes.into_iter().map(Write::Append)).collect()));
    host.evict();
    Harness::of(host)
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
    let mut copy = fork(&h, None);
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
    assert_eq!(said(&mut fork(&h, Some(&a1))).len(), 2);
    let mut with_question = fork(&h, Some(&q2));
    let last = said(&mut with_question).pop().unwrap();
    assert_eq!(last, ("assistant".into(), String::new(), "cancelled".into()));
    assert_eq!(with_question.session()["messageCount"], 4);
    assert_eq!(with_question.session()["state"], "idle");
    // A turn that runs or waits is left out, and a copy without messages is no session.
    let running = h.host.store.records[&h.turn("r3")].message_id.clone();
    let nothing = h.host.thread().unwrap().copied(&h.host.store, Some(&running), 1 << 53, "s1");
    assert_eq!(nothing.unwrap_err().code, ErrorCode::Conflict);
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
    let mut copy = fork(&h, None);
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

impl Harness {
    fn finish_with(&mut self, request_id: &str, text: &str) {
        self.agent(request_id, vec![crate::harness::said(text), crate::harness::finished()]);
    }
}
