//! Stock clients that are cut off or join late: they continue exactly where they were, and nothing changes for other
//! clients.

use bobbin::agent::AgentEvent;
use bobbin::dialect::Dialect;
use bobbin::protocol::{Block, Read, StockRequest, TurnWanted};
use bobbin::thread::PeerId;
use bobbin::thread::store::{Record, RecordKind, Records};
use serde_json::{Value, json};

use crate::harness::{Harness, finished, said, thread, thread_of};
use crate::stock::{ask_run, call, follow, give, resume, run, send, socket, told, wants};
use crate::support::{Run, Spoilt};

/// Cuts a client off after each event of a run in turn, and returns the runs that it then reads.
fn run_from_each_place(h: &mut Harness, run: &str, first: &PeerId) -> Vec<Run> {
    run_from_places(h, run, first, 1)
}

/// Like [`run_from_each_place`], for clients that have had at least `had_min` events.
fn run_from_places(h: &mut Harness, run: &str, first: &PeerId, had_min: usize) -> Vec<Run> {
    let told = h.host.links[first].told.clone();
    let resumed = |had: usize| {
        let mut read = Run::default();
        told[..had].iter().for_each(|event| read.event(event).unwrap());
        let place = bobbin::dialect::ag_ui::place::read(read.last.as_deref().unwrap()).unwrap();
        let wants =
            StockRequest { run: Some(run.into()), ..wants(TurnWanted::Turn(run.into(), Some(place))) };
        let peer = follow(h, Dialect::AgUiEvents, &format!("{run}-{had}"), wants);
        for event in &h.host.links[&peer].told {
            read.event(event).unwrap_or_else(|why| panic!("behind {had} events {why}"));
        }
        read
    };
    (had_min..told.len()).map(resumed).collect()
}

fn answer_as_run(h: &mut Harness, name: &str, run: &str, calls: &[&str]) -> PeerId {
    let named: Vec<Value> = calls.iter().map(|id| json!({ "id": id, "type": "function" })).collect();
    let mut messages = vec![json!({ "role": "assistant", "id": "a", "toolCalls": named })];
    let result = |id: &&str| json!({ "role": "tool", "id": "x", "toolCallId": id, "content": "9" });
    messages.extend(calls.iter().map(result));
    let body = json!({ "threadId": "s1", "runId": run, "messages": messages }).to_string();
    let (_, asked) = bobbin::dialect::ag_ui::input::body(&body).unwrap();
    follow(h, Dialect::AgUiEvents, name, asked.request)
}

#[test]
fn a_run_that_was_cut_off_as_it_waited_goes_on_with_the_results() {
    let mut h = thread();
    let first = ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![said("before "), call("c1"), call("c2"), said("then "), finished()]);
    answer_as_run(&mut h, "answers", "run2", &["c1", "c2"]);
    h.agent("run1", vec![said("after"), finished()]);
    for read in run_from_each_place(&mut h, "run1", &first) {
        let outputs = read.parts.iter().filter(|part| part["output"] == "9").count();
        assert_eq!((read.text.as_str(), outputs), ("before then after", 2), "{:?}", read.parts);
    }
}

#[test]
fn each_event_of_a_run_that_answers_the_calls_of_another_has_a_place_of_its_own() {
    let unmarked = |id: &str| AgentEvent::Block(Block::tool_use(id, "f", bobbin::protocol::Json::Null));
    let mut h = thread();
    ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![said("one "), unmarked("c1"), unmarked("c2"), finished()]);
    let second = answer_as_run(&mut h, "second", "run2", &["c1", "c2"]);
    let request_id =
        format!("t-{}", h.host.store.records.values().rfind(|it| it.is_end()).unwrap().message_id);
    h.agent(&request_id, vec![unmarked("c3"), said("two"), finished()]);
    let whole = run(&h, &second);
    for read in run_from_each_place(&mut h, "run2", &second) {
        assert_eq!(read.parts, whole.parts);
    }
    // The run from its beginning, which also shows the answer before it.
    let wanted = StockRequest { run: Some("run2".into()), ..wants(TurnWanted::Turn("run2".into(), None)) };
    let all = follow(&mut h, Dialect::AgUiEvents, "all", wanted);
    let shown = run(&h, &all);
    for read in run_from_each_place(&mut h, "run2", &all) {
        assert_eq!(read.parts, shown.parts);
    }
}

#[test]
fn an_answer_stands_in_the_history_with_its_own_question_whichever_ends_first() {
    let mut h = thread_of(2);
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "one");
    h.agent("u-m1", vec![call("c1"), finished()]);
    let first = told(&h, &ui).0["R1"].message_id.clone().unwrap();
    send(&mut h, &ui, "R2", "m2", "two");
    let unmarked = AgentEvent::Block(Block::tool_use("c2", "f", bobbin::protocol::Json::Null));
    h.agent("u-m2", vec![unmarked, finished()]);
    let second = told(&h, &ui).0["R2"].message_id.clone().unwrap();
    give(&mut h, &ui, "R3", &second, &["c2"]);
    give(&mut h, &ui, "R4", &first, &["c1"]);
    h.agent("u-m1", vec![said("first"), finished()]);
    h.agent(&format!("t-{second}"), vec![said("second"), finished()]);
    let thread = h.host.thread().unwrap();
    let page = h.host.store.before(thread.path(), u64::MAX >> 1, 10, 10_000).unwrap();
    let shown = bobbin::dialect::ai_sdk::message::history(&thread.with_waiting(&page.records));
    let shown: Vec<Value> = serde_json::from_str(&shown).unwrap();
    let text_of = |id: &str| {
        let message = shown.iter().find(|message| message["id"] == id).unwrap();
        message["parts"].as_array().unwrap().last().unwrap()["text"].clone()
    };
    assert_eq!((text_of(&first), text_of(&second)), (json!("first"), json!("second")));
}

#[test]
fn a_decision_on_a_call_that_is_over_is_refused_and_asks_nothing_of_the_agent() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    h.agent(
        "u-m1",
        vec![AgentEvent::Block(Block::tool_use("c1", "f", bobbin::protocol::Json::Null)), finished()],
    );
    let answer_id = told(&h, &ui).0["R1"].message_id.clone().unwrap();
    h.started();
    let part = json!({ "type": "tool-f", "toolCallId": "c1", "state": "approval-responded", "input": {}, "approval": { "id": "c1", "approved": true } });
    let message = json!({ "id": answer_id, "role": "assistant", "parts": [part] });
    let frame = json!({ "type": "send", "requestId": "R2", "id": "s1", "trigger": "submit-message", "messageId": answer_id, "messages": [message] });
    h.host.receive(&ui, &frame.to_string());
    assert_eq!(told(&h, &ui).0["R2"].ended.as_deref(), Some("error"));
    assert!(h.started().is_empty());
}

#[test]
fn a_client_that_joins_just_after_a_call_was_dropped_changes_nothing_for_the_others() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    h.text("u-m1", "one ");
    h.agent("u-m1", vec![AgentEvent::Begin(Block::tool_use("c1", "f", bobbin::protocol::Json::Null))]);
    h.agent("u-m1", vec![AgentEvent::Drop]);
    resume(&mut h, &ui, "R2");
    h.agent("u-m1", vec![said("two"), finished()]);
    for (_, stream) in told(&h, &ui).0 {
        assert_eq!((stream.text.as_str(), stream.ended.as_deref()), ("one two", Some("end")));
    }
}

#[test]
fn a_run_that_was_cut_off_in_a_thought_that_was_dropped_is_told_that_it_ends() {
    let mut h = thread();
    let first = ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![AgentEvent::Begin(Block::thinking("")), AgentEvent::Grow("hm".into())]);
    let mut read = run(&h, &first);
    let place = bobbin::dialect::ag_ui::place::read(read.last.as_deref().unwrap()).unwrap();
    h.agent("run1", vec![AgentEvent::Drop, said("answer"), finished()]);
    let again =
        follow(&mut h, Dialect::AgUiEvents, "again", wants(TurnWanted::Turn("run1".into(), Some(place))));
    h.host.links[&again].told.iter().for_each(|event| read.event(event).unwrap());
    assert_eq!((read.text.as_str(), read.ended.as_deref()), ("answer", Some("RUN_FINISHED")));
}

#[test]
fn a_run_cut_off_within_a_call_that_follows_a_dropped_block_continues_after_each_of_its_events() {
    let unfinished = |id: &str| Block::tool_use(id, "f", bobbin::protocol::Json::Null);
    // A client that has had only the beginning of a dropped thought, and no text of it, is refused.
    for (dropped, had_min) in [(unfinished("c1"), 1), (Block::thinking(""), 4)] {
        let mut h = thread();
        let first = ask_run(&mut h, "first", "run1", "m1");
        let grow = || AgentEvent::Grow("hm".into());
        h.agent("run1", vec![AgentEvent::Begin(dropped.clone()), grow(), AgentEvent::Drop]);
        h.agent("run1", vec![AgentEvent::Begin(unfinished("c2")), grow()]);
        h.agent("run1", vec![AgentEvent::Block(unfinished("c2")), said("answer"), finished()]);
        let calls = |read: &Run| -> Vec<Value> {
            read.parts.iter().filter(|part| part["call"].is_string()).cloned().collect()
        };
        let all = calls(&run(&h, &first));
        for read in run_from_places(&mut h, "run1", &first, had_min) {
            assert_eq!((read.text.as_str(), calls(&read)), ("answer", all.clone()), "after {dropped:?}");
        }
    }
}

#[test]
fn a_run_cut_off_before_a_call_was_decided_continues_with_everything_after_the_call() {
    let asked = json!({ "type": "tool_use", "id": "c1", "name": "f", "input": {}, "approval": { "state": "requested" } });
    let decision =
        json!({ "type": "tool_decision", "requestId": "run1", "toolUseId": "c1", "approved": true });
    let mut h = thread();
    h.greet("ann");
    let first = ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![AgentEvent::Block(Block::parse(&asked.to_string()).unwrap()), said("one ")]);
    h.send("ann", &decision);
    h.agent("run1", vec![said("two"), AgentEvent::Block(Block::thinking("hm")), finished()]);
    // The agent is called again with the decision.
    h.agent("run1", vec![said(" three"), finished()]);
    let says = |told: &[String], what: &str| told.iter().any(|event| event.contains(what));
    for (nth, read) in run_from_each_place(&mut h, "run1", &first).iter().enumerate() {
        assert_eq!((read.text.as_str(), read.ended.as_deref()), ("one two three", Some("RUN_FINISHED")));
        let (had, more) =
            (&h.host.links[&first].told[..=nth], &h.host.links[format!("run1-{}", nth + 1).as_str()].told);
        if says(had, "approval-requested") {
            let decided = "approval-decided";
            assert!(says(had, decided) || says(more, decided), "behind {} events: {more:?}", nth + 1);
        }
    }
}

/// The body of a run whose history has the parts of an answer, each with its calls and the results after it.
fn run_behind(run: &str, parts: &[(&[&str], &[&str])]) -> StockRequest {
    let mut messages = vec![json!({ "role": "user", "id": "m1", "content": "hello" })];
    for (calls, results) in parts {
        let named: Vec<Value> = calls.iter().map(|id| json!({ "id": id, "type": "function" })).collect();
        messages.push(json!({ "role": "assistant", "id": "a", "toolCalls": named }));
        let result = |id: &&str| json!({ "role": "tool", "id": "x", "toolCallId": id, "content": "9" });
        messages.extend(results.iter().map(result));
    }
    let body = json!({ "threadId": "s1", "runId": run, "messages": messages }).to_string();
    bobbin::dialect::ag_ui::input::body(&body).unwrap().1.request
}

#[test]
fn a_client_that_answers_a_call_again_is_told_only_what_its_history_lacks() {
    let mut h = thread();
    ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![call("c1"), finished()]);
    follow(&mut h, Dialect::AgUiEvents, "second", run_behind("run2", &[(&["c1"], &["c1"])]));
    h.agent("run1", vec![said("one"), call("c2"), finished()]);
    let histories: [&[(&[&str], &[&str])]; 2] = [
        &[(&["c1", "c2"], &["c1"])],
        // `HttpAgent` has the history in this form if the result came in between.
        &[(&["c1"], &["c1"]), (&["c2"], &["c1"])],
    ];
    for (nth, history) in histories.into_iter().enumerate() {
        let name = format!("again{nth}");
        let again = follow(&mut h, Dialect::AgUiEvents, &name, run_behind(&name, history));
        let read = run(&h, &again);
        assert_eq!((&*read.parts, read.ended.as_deref()), (&[][..], Some("RUN_FINISHED")), "{history:?}");
    }
    let behind = follow(&mut h, Dialect::AgUiEvents, "behind", run_behind("behind", &[(&["c1"], &["c1"])]));
    assert_eq!(run(&h, &behind).text, "one");
}

#[test]
fn results_of_calls_are_refused_once_their_turn_has_continued_and_ended() {
    let unmarked = |id: &str| AgentEvent::Block(Block::tool_use(id, "f", bobbin::protocol::Json::Null));
    let mut h = thread();
    ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![unmarked("c0"), call("c1"), finished()]);
    follow(&mut h, Dialect::AgUiEvents, "second", run_behind("run2", &[(&["c0", "c1"], &["c1"])]));
    h.agent("run1", vec![said("one"), unmarked("c2"), finished()]);
    h.started();
    // The client was told to wait, and nothing after that.
    let peer: PeerId = "late".into();
    let late = run_behind("late", &[(&["c0", "c1"], &["c0"])]);
    let outcome = h.host.follow(Dialect::AgUiEvents, &peer, bobbin::protocol::Identity::anyone(), late);
    assert!(matches!(outcome, Some(Err(_))), "{outcome:?}");
    assert!(h.started().is_empty());
    let all = run_behind("all", &[(&["c0", "c1"], &["c1"]), (&["c2"], &["c2"])]);
    follow(&mut h, Dialect::AgUiEvents, "all", all);
    assert_eq!(h.started().len(), 1);
}

#[test]
fn a_client_that_answers_the_last_calls_of_a_turn_may_also_answer_earlier_ones_without_a_result() {
    let unmarked = |id: &str| AgentEvent::Block(Block::tool_use(id, "f", bobbin::protocol::Json::Null));
    let mut h = thread();
    ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![unmarked("c0"), call("c1"), finished()]);
    follow(&mut h, Dialect::AgUiEvents, "second", run_behind("run2", &[(&["c0", "c1"], &["c1"])]));
    h.agent("run1", vec![unmarked("c2"), finished()]);
    let all = run_behind("all", &[(&["c0", "c1", "c2"], &["c0", "c2"])]);
    follow(&mut h, Dialect::AgUiEvents, "all", all);
    let question = h.host.store.records.values().rfind(|record| !record.is_end()).unwrap();
    let bobbin::protocol::Content::Blocks(results) = &question.content else { panic!("no results") };
    let given = results.iter().map(|result| match result {
        Block::ToolResult { tool_use_id, .. } => tool_use_id.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(given.collect::<Vec<_>>(), ["c0", "c2"]);
}

#[test]
fn a_client_that_answers_a_wait_whose_record_cannot_be_read_is_refused_and_loses_nothing() {
    let mut h = thread();
    ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![call("c1"), finished()]);
    follow(&mut h, Dialect::AgUiEvents, "second", run_behind("run2", &[(&["c1"], &["c1"])]));
    let is_wait = |record: &&Record| matches!(record.kind, RecordKind::Waiting { .. });
    let seq = h.host.store.records.values().find(is_wait).unwrap().seq;
    h.agent("run1", vec![said("one"), call("c2"), finished()]);
    h.host.store.spoilt.push(Spoilt::Record { seq, column: "content" });
    // It was told nothing of what followed the first wait.
    let late = run_behind("late", &[(&["c1"], &["c1"])]);
    let identity = bobbin::protocol::Identity::anyone();
    let outcome = h.host.follow(Dialect::AgUiEvents, &"late".into(), identity, late);
    assert!(matches!(outcome, Some(Err(_))), "{outcome:?}");
}

#[test]
fn data_that_is_replaced_within_a_text_leaves_the_text_whole_for_clients_that_come_before_and_after() {
    let data = |n: u64| {
        let data = json!({ "type": "data", "name": "d", "id": "b", "data": n });
        AgentEvent::Block(Block::parse(&data.to_string()).unwrap())
    };
    let mut h = thread();
    let (ui, late) = (socket(&mut h, "ui"), socket(&mut h, "late"));
    send(&mut h, &ui, "R1", "m1", "hello");
    let run_peer = follow(&mut h, Dialect::AgUiEvents, "run", wants(TurnWanted::Turn("u-m1".into(), None)));
    h.agent("u-m1", vec![data(1), said("one "), data(2)]);
    resume(&mut h, &late, "R2");
    follow(&mut h, Dialect::AgUiEvents, "late-run", wants(TurnWanted::Turn("u-m1".into(), None)));
    h.agent("u-m1", vec![said("two"), finished()]);
    for (socket, request) in [(&ui, "R1"), (&late, "R2")] {
        assert_eq!(told(&h, socket).0[request].text, "one two");
    }
    for peer in [run_peer, "late-run".into()] {
        assert_eq!(run(&h, &peer).text, "one two");
    }
}
