//! Programs that post by HTTP, and readers of events.

use bobbin::protocol::limits::GUARD_MS;
use bobbin::protocol::{CloseCode, Content, ErrorCode, Identity, Post};
use bobbin::pump::{Accepted, Undone};
use bobbin::thread::Config;
use bobbin::thread::store::RecordKind;
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, finished, said, thread, thread_of, thread_with, tokens};
use crate::support::Sudden;

#[test]
fn a_follower_is_sent_its_own_turn_and_then_let_go() {
    let mut h = thread_of(2);
    h.greet("ann");
    h.say("ann", "r0", "other");
    let accepted = taken(h.post("prog", message("r1"), true));
    h.text("r0", "not this");
    h.text("r1", "one ");
    h.wait(100);
    h.agent("r1", vec![said("two"), finished()]);
    let frames = h.frames("prog");
    assert_eq!(kinds(&frames), ["user_message", "token", "token", "final"]);
    assert!(frames.iter().all(|frame| frame["requestId"] == "r1"));
    assert_eq!(frames[0]["answerId"], json!(accepted.answer_id));
    assert_eq!(
        frames[0]["cursor"].as_str().unwrap().split('.').nth(1),
        accepted.cursor.to_string().split('.').nth(1)
    );
    assert_eq!(h.closed("prog"), Some(CloseCode::Normal));
    h.agent("r0", vec![finished()]);
    assert_eq!(h.frames("prog"), Vec::<Value>::new());
}

#[test]
fn a_follower_of_the_thread_from_the_cursor_of_a_post_is_sent_the_whole_answer() {
    let mut h = thread();
    let Accepted { cursor, answer_id, .. } = taken(h.post("prog", message("r1"), false));
    h.text("r1", "one ");
    h.wait(100);
    h.follow("reader", Some(&cursor.to_string()));
    h.agent("r1", vec![said("two"), finished()]);
    let frames = h.expect(
        "reader",
        &[
            json!({ "resumed": true }),
            json!({ "token": "one " }),
            json!({ "token": "two" }),
            json!({ "type": "final" }),
        ],
    );
    assert_eq!(frames[3]["messageId"], json!(answer_id));
}

#[test]
fn a_reader_of_events_is_sent_the_same_bytes_as_a_socket() {
    let mut h = thread();
    h.greet("ann");
    h.follow("reader", None);
    h.frames("reader");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("a\n\nb"), finished()]);
    let down = |name: &str| {
        let links = &h.host.links;
        let (_, link) = links.iter().find(|(peer, _)| peer.starts_with(name)).expect("a link of that name");
        link.down.iter().map(|frame| frame.text.to_string()).collect::<Vec<_>>()
    };
    // The tests' platform checks that each event has its cursor as its id.
    assert_eq!(down("reader"), down("ann"));
}

#[test]
fn the_same_post_shows_its_turn_so_far_and_starts_nothing() {
    let mut h = thread();
    let first = taken(h.post("one", message("r1"), true));
    h.text("r1", "one ");
    h.wait(100);
    assert_eq!(taken(h.post("two", message("r1"), true)), first);
    h.agent("r1", vec![said("two"), finished()]);
    for name in ["one", "two"] {
        let frames = h.frames(name);
        assert_eq!(tokens(&frames, "r1"), "one two", "{name}");
        assert_eq!(kinds(&frames).last(), Some(&"final"));
    }
    assert_eq!(taken(h.post("three", message("r1"), true)), first);
    assert_eq!(kinds(&h.frames("three")), ["user_message", "token", "final"]);
    assert_eq!(h.closed("three"), Some(CloseCode::Normal));
    assert_eq!(h.started(), [h.turn("r1")]);
    assert_eq!(h.host.store.records.len(), 2);
    let other = Post { content: Content::Text("other".into()), ..message("r1") };
    assert_eq!(refused(h.post("four", other, true)), ErrorCode::DuplicateRequest);
}

#[test]
fn a_post_is_stored_completely_or_not_at_all_wherever_the_object_crashes() {
    for scene in SCENES {
        let mut crashes = 0;
        for after in 0.. {
            let mut h = scene.set();
            h.host.faults.sudden = Some((after, Sudden::Crash { sockets_survive: false }));
            let outcome = h.post("prog", scene.post(), after % 2 == 0);
            h.host.faults.sudden = None;
            if outcome.is_some() && h.host.seen.iter().all(|seen| !format!("{seen:?}").starts_with("Crashed"))
            {
                break;
            }
            crashes += 1;
            h.wait(GUARD_MS);
            // The program does not know the outcome, and posts the same again.
            let again = taken(h.post("again", scene.post(), false));
            finish_all(&mut h);
            let mine = h.host.store.records.values().filter(|record| record.request_id == "p1");
            let begun = mine.clone().filter(|record| !record.is_end()).count();
            let ends: Vec<_> = mine.filter(|record| record.is_end()).collect();
            assert_eq!((begun, ends.len()), (1, 1), "{scene:?} after {after}");
            assert_eq!(ends[0].message_id, again.answer_id, "{scene:?} after {after}");
            if scene.post().is_answer {
                assert_eq!(ends[0].content.text(), "said p1", "{scene:?} after {after}");
            }
            h.deliver();
        }
        assert!(crashes >= 3, "{scene:?} was crashed {crashes} times");
    }
}

#[test]
fn an_append_is_queued_survives_a_crash_and_is_given_to_the_next_agent() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    taken(h.post("prog", answer("a1"), false));
    h.say("ann", "r2", "two");
    h.expect(
        "ann",
        &[
            json!({ "type": "user_message" }),
            json!({ "type": "user_message" }),
            json!({ "type": "queued", "position": 2 }),
        ],
    );
    h.host.crash(false);
    h.wait(GUARD_MS);
    h.join("ann");
    let snapshot = h.frames("ann").remove(1);
    let shown: Vec<_> = snapshot["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["requestId"].as_str().unwrap())
        .collect();
    assert_eq!(shown, ["r1", "r2", "r1", "a1"]);
    let request = h.seen().into_iter().rev().find_map(|seen| match seen {
        crate::support::Seen::Started { request, .. } => Some(request),
        _ => None,
    });
    let told: Vec<_> =
        request.unwrap().messages.iter().map(|message| message.content.text().clone()).collect();
    assert_eq!(told, ["one", "", "said a1", "two"]);
}

#[test]
fn an_append_at_rest_has_no_message_of_its_own_and_took_no_time() {
    let mut h = thread();
    h.greet("ann");
    taken(h.post("prog", answer("a1"), true));
    let event = json!({ "type": "final", "requestId": "a1", "response": { "content": "said a1", "metadata": { "latencyMs": 0 } } });
    h.expect("ann", std::slice::from_ref(&event));
    h.expect("prog", &[event]);
    assert_eq!(h.closed("prog"), Some(CloseCode::Normal));
    assert!(h.started().is_empty());
    let kinds: Vec<_> = h
        .host
        .store
        .records
        .values()
        .map(|record| matches!(record.kind, RecordKind::Append { .. }))
        .collect();
    assert_eq!(kinds, [true, false]);
}

#[test]
fn when_the_store_fails_a_follower_is_let_go_and_the_same_post_shows_the_turn_from_its_beginning() {
    for was_applied in [false, true] {
        let mut h = thread();
        taken(h.post("prog", message("r1"), true));
        h.follow("reader", None);
        h.text("r1", "one");
        h.wait(600);
        h.host.faults.writes = Some((0, 1, was_applied));
        h.finish("r1");
        assert_eq!(kinds(&h.frames("prog")), ["user_message", "token"], "applied: {was_applied}");
        assert_eq!(h.closed("prog"), Some(CloseCode::InternalError));
        taken(h.post("again", message("r1"), true));
        let end = if was_applied { "final" } else { "error" };
        let frames = h.frames("again");
        assert_eq!(kinds(&frames), ["user_message", "token", end], "applied: {was_applied}");
        assert_eq!(frames[2]["response"]["content"], json!("one"));
        assert_eq!(h.closed("again"), Some(CloseCode::Normal));
        let snapshot =
            h.frames("reader").into_iter().rev().find(|frame| frame["type"] == "snapshot").unwrap();
        assert_eq!(snapshot["reason"], json!("reset"));
        assert!(h.is_open("reader"));
    }
}

#[test]
fn a_follower_of_a_turn_that_begins_to_wait_while_the_store_fails_is_let_go() {
    for was_applied in [false, true] {
        let mut h = thread();
        taken(h.post("prog", message("r1"), true));
        h.text("r1", "one");
        h.wait(600);
        h.host.faults.writes = Some((0, 1, was_applied));
        h.agent("r1", vec![call_for_client(), finished()]);
        h.wait(GUARD_MS);
        assert_eq!(h.closed("prog"), Some(CloseCode::InternalError), "applied: {was_applied}");
        taken(h.post("again", message("r1"), true));
        let end = if was_applied { "waiting" } else { "error" };
        assert_eq!(kinds(&h.frames("again")).last(), Some(&end), "applied: {was_applied}");
        assert_eq!(h.closed("again"), Some(CloseCode::Normal));
    }
}

#[test]
fn a_thread_that_panics_lets_followers_go_and_starts_readers_over() {
    let mut h = thread();
    taken(h.post("prog", message("r1"), true));
    h.follow("reader", None);
    h.text("r1", "one");
    h.wait(600);
    let held = cursor_of(&h.frames("reader"));
    h.host.faults.sudden = Some((0, Sudden::Panic));
    h.text("r1", "two");
    h.wait(600);
    assert_eq!(kinds(&h.frames("prog")), ["user_message", "token"]);
    assert_eq!(h.closed("prog"), Some(CloseCode::InternalError));
    let frames = h.frames("reader");
    assert_eq!(frames[0]["reason"], json!("reset"));
    assert!(frames.iter().any(|frame| frame["error"]["code"] == "INTERRUPTED"));
    h.follow("late", Some(&held));
    assert_eq!(h.frames("late")[0]["resumed"], json!(true));
}

#[test]
fn posts_count_as_messages_of_their_subject_and_a_refused_one_leaves_nothing_behind() {
    let mut h = thread_with(Config { messages_per_minute: 3, ..Config::default() });
    let ann = || Identity {
        subject: Some("ann".into()),
        granted: None,
        may_create: true,
        expires_at: None,
        trace: None,
    };
    h.join_with_token("ann", None);
    h.say("ann", "r1", "one");
    for id in ["p1", "p2"] {
        taken(h.post_as("prog", ann(), message(id), true));
    }
    for follows in [false, true] {
        assert_eq!(refused(h.post_as("more", ann(), message("p3"), follows)), ErrorCode::RateLimited);
        assert_eq!(refused(h.post_as("more", ann(), answer("a1"), follows)), ErrorCode::RateLimited);
    }
    h.wait(20_000);
    taken(h.post_as("more", ann(), message("p3"), false));
    assert!(h.host.store.records.values().all(|record| record.request_id != "a1"));
}

#[test]
fn frames_count_too_and_a_program_that_posts_endlessly_is_told_to_wait() {
    let mut h =
        thread_with(Config { messages_per_minute: 1_000, frames_per_minute_min: 1, ..Config::default() });
    let ann = || Identity {
        subject: Some("ann".into()),
        granted: None,
        may_create: true,
        expires_at: None,
        trace: None,
    };
    let codes: Vec<_> = (0..20_000).map(|_| h.post_as("prog", ann(), message("p1"), false)).collect();
    let limited = codes.into_iter().filter(|outcome| matches!(outcome, Some(Err(Undone::Refused(error))) if error.code == ErrorCode::RateLimited)).count();
    assert!(limited > 0);
    assert_eq!(h.host.store.records.len(), 1);
}

#[test]
fn a_credential_that_expires_ends_its_streams_and_its_posts() {
    let mut h = thread();
    let ann = |expires_at| Identity {
        subject: Some("ann".into()),
        granted: None,
        may_create: true,
        expires_at,
        trace: None,
    };
    let soon = Some(h.host.now + 1_000);
    taken(h.post_as("prog", ann(soon), message("r1"), true));
    h.follow_as("reader", ann(soon), None);
    h.wait(2_000);
    for name in ["prog", "reader"] {
        assert_eq!(h.closed(name), Some(CloseCode::Unauthenticated), "{name}");
    }
    for follows in [false, true] {
        assert_eq!(refused(h.post_as("late", ann(soon), message("r2"), follows)), ErrorCode::Unauthenticated);
    }
    h.agent("r1", vec![said("on"), finished()]);
    assert_eq!(h.host.store.records.len(), 2);
}

#[test]
fn a_session_that_is_deleted_lets_its_followers_and_readers_go() {
    let mut h = thread();
    taken(h.post("prog", message("r1"), true));
    h.follow("reader", None);
    h.host.request(&Identity::anyone(), bobbin::thread::Request::Delete).unwrap();
    for name in ["prog", "reader"] {
        assert_eq!(h.closed(name), Some(CloseCode::SessionDeleted), "{name}");
    }
    for post in [message("r1"), answer("r1")] {
        assert_eq!(refused(h.post("late", post, true)), ErrorCode::Deleted);
    }
}

/// The state of a thread when something is posted to it.
#[derive(Clone, Copy, Debug)]
enum Scene {
    MessageFirst,
    MessageQueued,
    AppendFirst,
    AppendAtRest,
    AppendQueued,
}

const SCENES: [Scene; 5] =
    [Scene::MessageFirst, Scene::MessageQueued, Scene::AppendFirst, Scene::AppendAtRest, Scene::AppendQueued];

impl Scene {
    fn set(self) -> Harness {
        let mut h = thread();
        h.greet("ann");
        if matches!(self, Scene::MessageQueued | Scene::AppendAtRest | Scene::AppendQueued) {
            h.say("ann", "r1", "one");
        }
        if matches!(self, Scene::AppendAtRest) {
            h.agent("r1", vec![said("x"), finished()]);
        }
        h.seen();
        h
    }

    fn post(self) -> Post {
        if matches!(self, Scene::MessageFirst | Scene::MessageQueued) { message("p1") } else { answer("p1") }
    }
}

/// Completes all answers that are still running.
fn finish_all(h: &mut Harness) {
    while let Some(turn) = h.host.agents.first().copied() {
        h.host.agent(turn, vec![said("done"), finished()]);
    }
    h.wait(GUARD_MS);
}

fn message(request_id: &str) -> Post {
    let content = Content::Text(format!("said {request_id}"));
    Post { request_id: request_id.into(), content, ..Post::default() }
}

fn answer(request_id: &str) -> Post {
    Post { is_answer: true, ..message(request_id) }
}

fn call_for_client() -> bobbin::agent::AgentEvent {
    use bobbin::protocol::{Block, Json, Read};
    let call = json!({ "type": "tool_use", "id": "t1", "name": "look", "input": {}, "output": "client" });
    bobbin::agent::AgentEvent::Block(Block::read(&Json::parse(&call.to_string()).unwrap()).unwrap())
}

#[track_caller]
fn taken(outcome: Option<Result<Accepted, Undone>>) -> Accepted {
    outcome.expect("the object lives").expect("it is accepted")
}

#[track_caller]
fn refused(outcome: Option<Result<Accepted, Undone>>) -> ErrorCode {
    match outcome {
        Some(Err(Undone::Refused(error))) => error.code.known().expect("a code of this version"),
        other => panic!("{other:?}"),
    }
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["type"].as_str()).collect()
}
