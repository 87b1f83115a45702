//! Versions: a message is rewritten, a question answered again, a version selected.

use bobbin::protocol::to_json;
use bobbin::thread::Config;
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, failed, finished, said, thread, thread_of, thread_with};
use crate::support::Seen;

#[test]
fn an_edit_brings_the_path_to_before_the_message_and_then_the_new_one() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    let (q1, a1) = h.talk("ann", "r1", "one", "first");
    let (q2, a2) = h.talk("ann", "r2", "two", "second");
    h.frames("ann");
    h.frames("bob");
    h.edit("ann", "r3", "r2", "two, but better");
    let events = [
        json!({ "type": "branch", "after": a1, "messages": [], "requestId": null, "answerId": null }),
        json!({ "type": "user_message", "requestId": "r3", "message": {
            "content": "two, but better", "parentId": a1,
            "versions": { "index": 1, "count": 2, "previous": q2, "next": null } } }),
    ];
    assert_eq!(h.expect("ann", &events), h.expect("bob", &events));
    h.answer("r3", "third");
    let history = h.history("bob");
    assert_eq!(ids(&history)[..2], [q1.clone(), a1.clone()]);
    assert_eq!(texts(&history), ["one", "first", "two, but better", "third"]);
    assert_eq!(history[0]["versions"], Value::Null);
    assert_eq!(history[0]["parentId"], Value::Null);
    assert_eq!(history[1]["parentId"], json!(q1));
    assert_eq!(h.session()["messageCount"], 4);
    assert_eq!(h.session()["totalTokens"], 36);
    // The messages that left the path are still stored.
    assert!(h.host.store.records.values().any(|record| record.message_id == a2));
}

#[test]
fn the_agent_sees_only_the_path() {
    let mut h = thread();
    h.greet("ann");
    h.talk("ann", "r1", "one", "first");
    h.talk("ann", "r2", "two", "second");
    h.edit("ann", "r3", "r2", "three");
    assert_eq!(asked(&mut h), ["one", "first", "three"]);
    h.answer("r3", "third");
    h.regenerate("ann", "r4", "r3");
    assert_eq!(asked(&mut h), ["one", "first", "three"]);
    h.answer("r4", "fourth");
    h.say("ann", "r5", "five");
    assert_eq!(asked(&mut h), ["one", "first", "three", "fourth", "five"]);
}

#[test]
fn an_edit_of_the_first_message_begins_a_new_path() {
    let mut h = thread();
    h.greet("ann");
    let (q1, _) = h.talk("ann", "r1", "one", "first");
    h.frames("ann");
    h.edit("ann", "r2", "r1", "another one");
    h.expect(
        "ann",
        &[
            json!({ "type": "branch", "after": null, "messages": [] }),
            json!({ "type": "user_message", "message": { "parentId": null, "versions": { "index": 1, "previous": q1 } } }),
        ],
    );
    h.answer("r2", "other");
    assert_eq!(h.session()["firstMessagePreview"], "another one");
    assert_eq!(h.session()["messageCount"], 2);
    h.select("ann", &q1);
    assert_eq!(h.session()["firstMessagePreview"], "one");
    assert_eq!(texts(&h.history("ann")), ["one", "first"]);
}

#[test]
fn another_answer_follows_the_same_question() {
    let mut h = thread();
    h.greet("ann");
    let (q1, a1) = h.talk("ann", "r1", "one", "first");
    h.talk("ann", "r2", "two", "second");
    h.frames("ann");
    h.regenerate("ann", "r3", "r1");
    let branch =
        h.expect("ann", &[json!({ "type": "branch", "requestId": "r3", "after": q1, "messages": [] })]);
    assert_eq!(asked(&mut h), ["one"]);
    h.answer("r3", "better");
    let answer_id = branch[0]["answerId"].as_str().unwrap().to_owned();
    h.expect(
        "ann",
        &[
            json!({ "type": "token", "requestId": "r3", "token": "better" }),
            json!({ "type": "final", "requestId": "r3", "messageId": answer_id }),
        ],
    );
    let history = h.history("ann");
    assert_eq!(texts(&history), ["one", "better"]);
    assert_eq!(history[1]["parentId"], json!(q1));
    assert_eq!(history[1]["versions"], json!({ "index": 1, "count": 2, "previous": a1 }));
    assert_eq!(h.session()["messageCount"], 2);
}

#[test]
fn a_failed_answer_is_retried_and_the_model_gets_the_question_once() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![failed()]);
    asked(&mut h);
    h.regenerate("ann", "r2", "r1");
    assert_eq!(asked(&mut h), ["one"]);
    h.agent("r2", vec![failed()]);
    // The question can be named by its last failed turn, or by its own.
    h.regenerate("ann", "r3", "r2");
    h.answer("r3", "there");
    assert_eq!(texts(&h.history("ann")), ["one", "there"]);
    h.say("ann", "r4", "two");
    assert_eq!(asked(&mut h), ["one", "there", "two"]);
}

#[test]
fn a_turn_that_runs_is_ended_by_another_answer_to_its_question() {
    let mut h = thread();
    h.greet("ann");
    let q1 = h.say_it("ann", "r1", "one");
    h.text("r1", "half an");
    h.frames("ann");
    h.seen();
    h.regenerate("ann", "r2", "r1");
    h.expect(
        "ann",
        &[
            json!({ "type": "cancelled", "requestId": "r1", "reason": "superseded", "response": { "content": "half an" } }),
            json!({ "type": "branch", "requestId": "r2", "after": q1, "messages": [] }),
        ],
    );
    let seen = h.seen();
    let stores = seen.iter().filter(|seen| matches!(seen, Seen::Stored(_))).count();
    assert_eq!(stores, 1, "the ends and the branch are one commit");
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Aborted { .. })));
}

#[test]
fn an_edit_ends_the_turns_queued_after_it_in_order() {
    let mut h = thread();
    h.greet("ann");
    let q1 = h.say_it("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.say("ann", "r3", "three");
    h.say("ann", "r4", "four");
    h.frames("ann");
    h.edit("ann", "r5", "r2", "two anew");
    h.expect(
        "ann",
        &[
            json!({ "type": "cancelled", "requestId": "r2", "reason": "superseded" }),
            json!({ "type": "cancelled", "requestId": "r3", "reason": "superseded" }),
            json!({ "type": "cancelled", "requestId": "r4", "reason": "superseded" }),
            json!({ "type": "branch", "after": q1, "messages": [] }),
            json!({ "type": "user_message", "requestId": "r5" }),
            json!({ "type": "queued", "requestId": "r5", "position": 1 }),
        ],
    );
    h.answer("r1", "first");
    h.answer("r5", "fifth");
    assert_eq!(texts(&h.history("ann")), ["one", "two anew", "first", "fifth"]);
    assert_eq!(h.session()["messageCount"], 4);
}

/// The answer of the earlier turn comes after the message, in the log and in every list.
#[test]
fn an_answer_that_ended_after_the_replaced_message_stays_on_the_path() {
    let mut h = thread();
    h.greet("ann");
    let q1 = h.say_it("ann", "r1", "one");
    let q2 = h.say_it("ann", "r2", "two");
    h.answer("r1", "first");
    h.answer("r2", "second");
    let a1 = ids(&h.history("ann"))[2].clone();
    h.regenerate("ann", "r3", "r2");
    h.frames("ann");
    h.answer("r3", "third");
    assert_eq!(texts(&h.history("ann")), ["one", "two", "first", "third"]);
    h.frames("ann");
    h.edit("ann", "r4", "r2", "four");
    h.expect(
        "ann",
        &[
            json!({ "type": "branch", "after": q1, "messages": [{ "id": a1 }] }),
            json!({ "type": "user_message", "message": { "parentId": a1 } }),
        ],
    );
    h.answer("r4", "fourth");
    assert_eq!(texts(&h.history("ann")), ["one", "first", "four", "fourth"]);
    assert_eq!(h.session()["messageCount"], 4);
    h.select("ann", &q2);
    assert_eq!(texts(&h.history("ann")), ["one", "two", "first", "third"]);
    assert_eq!(h.session()["messageCount"], 4);
}

#[test]
fn turns_before_a_replaced_message_go_on() {
    let mut h = thread_of(3);
    h.greet("ann");
    let q1 = h.say_it("ann", "r1", "one");
    let q2 = h.say_it("ann", "r2", "two");
    h.text("r1", "be");
    h.text("r2", "gone");
    h.edit("ann", "r3", "r2", "two anew");
    h.text("r1", "gun");
    h.answer("r3", "third");
    h.finish("r1");
    assert_eq!(texts(&h.history("ann")), ["one", "two anew", "third", "begun"]);
    // Its answer also belongs to the other version.
    h.select("ann", &q2);
    assert_eq!(texts(&h.history("ann")), ["one", "two", "gone", "begun"]);
    assert_eq!(h.session()["messageCount"], 4);
    h.edit("ann", "r4", "r1", "zero");
    h.answer("r4", "none");
    h.select("ann", &q1);
    assert_eq!(texts(&h.history("ann")), ["one", "two anew", "third", "begun"]);
}

#[test]
fn selecting_a_message_follows_the_newest_version_after_it() {
    let mut h = thread();
    h.greet("ann");
    let (q1, a1) = h.talk("ann", "r1", "one", "first");
    let (q2, _) = h.talk("ann", "r2", "two", "second");
    h.edit("ann", "r3", "r2", "three");
    h.answer("r3", "third");
    h.regenerate("ann", "r4", "r3");
    h.answer("r4", "fourth");
    h.edit("ann", "r5", "r1", "five");
    h.answer("r5", "fifth");
    h.frames("ann");
    h.select("ann", &q1);
    assert_eq!(texts(&h.history("ann")), ["one", "first", "three", "fourth"]);
    h.select("ann", &q2);
    assert_eq!(texts(&h.history("ann")), ["one", "first", "two", "second"]);
    h.talk("ann", "r6", "six", "sixth");
    h.edit("ann", "r7", "r5", "nothing");
    h.expect_last_refused("ann", "CONFLICT");
    h.select("ann", &a1);
    assert_eq!(texts(&h.history("ann")), ["one", "first", "three", "fourth"]);
    h.select("ann", &q2);
    assert_eq!(texts(&h.history("ann")), ["one", "first", "two", "second", "six", "sixth"]);
    let counted = h.session()["messageCount"].clone();
    assert_eq!(counted, 6);
}

#[test]
fn selecting_the_current_path_is_answered_only_to_its_sender() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    let (q1, a1) = h.talk("ann", "r1", "one", "first");
    h.frames("ann");
    h.frames("bob");
    let rows = h.rows_written();
    for id in [&q1, &a1] {
        h.select("ann", id);
        h.expect("ann", &[json!({ "type": "branch", "after": a1, "messages": [] })]);
    }
    h.expect_nothing("bob");
    assert_eq!(h.rows_written(), rows);
    h.send("ann", &json!({ "type": "select", "messageId": "msg_1_77" }));
    h.expect_last_refused("ann", "NOT_FOUND");
}

#[test]
fn an_unknown_message_or_one_on_another_path_is_refused() {
    let mut h = thread();
    h.greet("ann");
    h.regenerate("ann", "r9", "r1");
    h.expect_last_refused("ann", "NOT_FOUND");
    h.edit("ann", "r9", "r1", "one");
    h.expect_last_refused("ann", "NOT_FOUND");
    h.say_after("ann", "r9", "msg_1_1", "one");
    h.expect_last_refused("ann", "CONFLICT");
    let (_, a1) = h.talk("ann", "r1", "one", "first");
    h.talk("ann", "r2", "two", "second");
    h.edit("ann", "r3", "r1", "three");
    h.answer("r3", "third");
    h.say_after("ann", "r9", &a1, "and?");
    h.expect_last_refused("ann", "CONFLICT");
    for of in ["r1", "r2"] {
        h.regenerate("ann", "r9", of);
        h.expect_last_refused("ann", "CONFLICT");
        h.edit("ann", "r9", of, "nine");
        h.expect_last_refused("ann", "CONFLICT");
    }
    let head = ids(&h.history("ann"))[1].clone();
    h.frames("ann");
    h.say_after("ann", "r9", &head, "and?");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r9" })]);
}

#[test]
fn the_same_frame_again_starts_nothing() {
    let mut h = thread();
    h.greet("ann");
    let (q1, _) = h.talk("ann", "r1", "one", "first");
    h.regenerate("ann", "r2", "r1");
    h.frames("ann");
    h.regenerate("ann", "r2", "r1");
    h.expect("ann", &[json!({ "type": "branch", "requestId": "r2", "after": q1, "messages": [] })]);
    h.answer("r2", "second");
    h.frames("ann");
    h.regenerate("ann", "r2", "r1");
    h.expect(
        "ann",
        &[
            json!({ "type": "branch", "requestId": "r2", "after": q1, "messages": [] }),
            json!({ "type": "final", "requestId": "r2" }),
        ],
    );
    h.regenerate("ann", "r2", "r2");
    h.expect_last_refused("ann", "DUPLICATE_REQUEST");
    h.say("ann", "r2", "");
    h.expect_last_refused("ann", "INVALID_MESSAGE");
    h.say("ann", "r2", "something");
    h.expect_last_refused("ann", "DUPLICATE_REQUEST");
    h.edit("ann", "r3", "r1", "three");
    h.frames("ann");
    h.edit("ann", "r3", "r1", "three");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r3" })]);
    h.say("ann", "r3", "three");
    h.expect_last_refused("ann", "DUPLICATE_REQUEST");
    // Messages that have left the path in the meantime are sent, and then removed again.
    h.answer("r3", "third");
    h.edit("ann", "r4", "r3", "four");
    let frames = h.frames("ann");
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "branch").count(), 1);
    h.edit("ann", "r3", "r1", "three");
    h.expect(
        "ann",
        &[
            json!({ "type": "user_message", "requestId": "r3" }),
            json!({ "type": "final", "requestId": "r3" }),
            json!({ "type": "branch", "messages": [] }),
        ],
    );
    h.regenerate("ann", "r2", "r1");
    let frames = h.frames("ann");
    let told: Vec<_> =
        frames.iter().map(|frame| (frame["type"].as_str(), frame["requestId"].as_str())).collect();
    assert_eq!(
        told,
        [(Some("branch"), Some("r2")), (Some("final"), Some("r2")), (Some("branch"), None)],
        "{frames:?}"
    );
}

#[test]
fn of_two_edits_of_one_message_the_second_is_a_conflict_if_it_saw_the_first_version() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    let (_, a1) = h.talk("ann", "r1", "one", "first");
    let edit = |id: &str| json!({ "type": "message", "requestId": id, "content": id, "replaces": "r1", "after": a1 });
    h.send("ann", &edit("r2"));
    h.frames("bob");
    h.send("bob", &edit("r3"));
    h.expect_last_refused("bob", "CONFLICT");
}

#[test]
fn a_client_that_was_away_is_sent_the_events_in_order() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.talk("ann", "r1", "one", "first");
    h.say("ann", "r2", "two");
    h.text("r2", "half");
    let cursor = cursor_of(&h.frames("bob"));
    h.leave("bob");
    h.text("r2", " more");
    h.edit("ann", "r3", "r2", "three");
    h.text("r3", "third");
    h.resume("bob", &cursor);
    h.expect(
        "bob",
        &[
            json!({ "type": "connected", "resumed": true }),
            json!({ "type": "token", "requestId": "r2", "token": " more" }),
            json!({ "type": "cancelled", "requestId": "r2", "reason": "superseded" }),
            json!({ "type": "branch", "messages": [] }),
            json!({ "type": "user_message", "requestId": "r3", "message": { "versions": { "index": 1 } } }),
            json!({ "type": "token", "requestId": "r3", "token": "third" }),
        ],
    );
}

#[test]
fn a_client_that_was_cut_off_between_the_branch_and_the_message_lacks_only_the_message() {
    let mut h = thread();
    h.greet("ann");
    h.talk("ann", "r1", "one", "first");
    h.frames("ann");
    h.edit("ann", "r2", "r1", "two");
    let branch = h.frames("ann").into_iter().find(|frame| frame["type"] == "branch").unwrap();
    h.resume("bob", branch["cursor"].as_str().unwrap());
    h.expect(
        "bob",
        &[
            json!({ "type": "connected", "resumed": true }),
            json!({ "type": "user_message", "requestId": "r2" }),
        ],
    );
}

#[test]
fn a_branch_that_is_too_large_for_a_frame_becomes_a_snapshot() {
    let mut h = thread();
    h.greet("ann");
    let (q1, _) = h.talk("ann", "r1", "one", "first");
    for nth in 0..26 {
        h.talk("ann", &format!("m{nth}"), "more", "and more");
    }
    h.edit("ann", "r2", "r1", "two");
    h.answer("r2", "second");
    let cursor = cursor_of(&h.frames("ann"));
    h.select("ann", &q1);
    let frames = h.expect("ann", &[json!({ "type": "snapshot", "reason": "branch", "hasMore": true })]);
    assert_eq!(frames[0]["messages"].as_array().unwrap().len(), 50);
    h.resume("bob", &cursor);
    h.expect(
        "bob",
        &[
            json!({ "type": "connected", "resumed": false }),
            json!({ "type": "snapshot", "reason": "branch" }),
        ],
    );
    assert_eq!(h.session()["messageCount"], 54);
}

#[test]
fn a_crash_leaves_one_complete_path() {
    for after in 0..14 {
        let mut h = thread();
        h.greet("ann");
        let (q1, _) = h.talk("ann", "r1", "one", "first");
        h.say("ann", "r2", "two");
        h.text("r2", "half");
        h.wait(1_000);
        h.host.faults.sudden = Some((after, crate::support::Sudden::Crash { sockets_survive: false }));
        h.edit("ann", "r3", "r2", "three");
        h.host.faults.sudden = None;
        h.wait(100_000);
        h.greet("bob");
        h.edit("bob", "r3", "r2", "three");
        if h.host.agents.iter().next().is_some() {
            h.answer("r3", "third");
        }
        let history = texts(&h.history("bob"));
        assert_eq!(history[..3], ["one", "first", "three"], "after {after} outputs");
        assert_eq!(history.len(), 4, "after {after} outputs");
        assert_eq!(h.session()["messageCount"], 4, "after {after} outputs");
        h.select("bob", &q1);
    }
}

#[test]
fn a_waiting_turn_ends_with_its_question_and_an_earlier_one_waits_on() {
    let mut h = thread_with(Config { messages_per_minute: 1_000_000, ..Config::default() });
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.ask("r1", "c1");
    h.frames("ann");
    h.edit("ann", "r3", "r2", "three");
    h.expect(
        "ann",
        &[
            json!({ "type": "cancelled", "requestId": "r2", "reason": "superseded" }),
            json!({ "type": "branch" }),
            json!({ "type": "user_message", "requestId": "r3" }),
            json!({ "type": "queued", "requestId": "r3" }),
        ],
    );
    h.regenerate("ann", "r4", "r1");
    h.expect(
        "ann",
        &[
            json!({ "type": "cancelled", "requestId": "r1", "reason": "superseded" }),
            json!({ "type": "cancelled", "requestId": "r3", "reason": "superseded" }),
            json!({ "type": "branch", "requestId": "r4" }),
        ],
    );
    assert_eq!(h.session()["state"], "running");
}

#[test]
fn d1_gets_the_path_with_the_session() {
    let mut h = thread();
    h.greet("ann");
    let (q1, _) = h.talk("ann", "r1", "one", "first");
    h.edit("ann", "r2", "r1", "two");
    h.answer("r2", "second");
    h.wait(60_000);
    h.select("ann", &q1);
    h.wait(60_000);
    let (delivery, _) = h.host.deliveries.back().expect("a delivery");
    let content = delivery.content.as_ref().unwrap();
    assert!(content.path.contains(1) && !content.path.contains(h.turn("r2")));
    assert_eq!(content.session.message_count, 2);
}

fn ids(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

fn texts(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

/// Returns the messages of the last request to an agent.
fn asked(h: &mut Harness) -> Vec<String> {
    let asked = h.seen().into_iter().rev().find_map(|seen| match seen {
        Seen::Started { request, .. } => Some(request.messages),
        _ => None,
    });
    asked.expect("an agent that was called").iter().map(|message| message.content.text()).collect()
}

impl Harness {
    pub fn edit(&mut self, name: &str, request_id: &str, replaces: &str, text: &str) {
        let frame =
            json!({ "type": "message", "requestId": request_id, "content": text, "replaces": replaces });
        self.send(name, &frame);
    }

    fn say_after(&mut self, name: &str, request_id: &str, after: &str, text: &str) {
        let frame = json!({ "type": "message", "requestId": request_id, "content": text, "after": after });
        self.send(name, &frame);
    }

    pub fn regenerate(&mut self, name: &str, request_id: &str, of: &str) {
        self.send(name, &json!({ "type": "regenerate", "requestId": request_id, "of": of }));
    }

    pub fn select(&mut self, name: &str, id: &str) {
        self.send(name, &json!({ "type": "select", "messageId": id }));
    }

    fn say_it(&mut self, name: &str, request_id: &str, text: &str) -> String {
        self.say(name, request_id, text);
        let turn = self.turn(request_id);
        self.host.store.records[&turn].message_id.clone()
    }

    fn answer(&mut self, request_id: &str, text: &str) {
        self.agent(request_id, vec![said(text), finished()]);
    }

    /// Makes a turn and returns the ids of the question and the answer.
    pub fn talk(&mut self, name: &str, request_id: &str, text: &str, answer: &str) -> (String, String) {
        let question = self.say_it(name, request_id, text);
        self.answer(request_id, answer);
        let turn = self.turn(request_id);
        let end = self.host.store.records.values().find(|record| record.turn == turn && record.is_end());
        (question, end.expect("an end").message_id.clone())
    }

    fn ask(&mut self, request_id: &str, call: &str) {
        let block = json!({ "type": "tool_use", "id": call, "name": "look", "input": {}, "approval": { "state": "requested" } });
        let block = <bobbin::protocol::Block as bobbin::protocol::Read>::parse(&block.to_string()).unwrap();
        self.agent(request_id, vec![bobbin::agent::AgentEvent::Block(block), finished()]);
    }

    /// Returns the path's messages, as a new client is sent them.
    pub fn history(&mut self, _: &str) -> Vec<Value> {
        self.join("somebody");
        let frames = self.frames("somebody");
        self.leave("somebody");
        let snapshot = frames.into_iter().find(|frame| frame["type"] == "snapshot").expect("a snapshot");
        snapshot["messages"].as_array().unwrap().clone()
    }

    pub fn session(&self) -> Value {
        let session = self.host.thread().and_then(bobbin::thread::Thread::shown_session);
        serde_json::from_str(&to_json(&session.expect("a session"))).unwrap()
    }

    #[track_caller]
    fn expect_last_refused(&mut self, name: &str, code: &str) {
        let frames = self.frames(name);
        let last = frames.last().expect("a frame");
        assert_eq!(last["error"]["code"], code, "{last}");
        assert!(last["cursor"].is_null(), "{last}");
    }
}
