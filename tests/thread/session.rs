use bobbin::protocol::SessionState;
use serde_json::{Value, json};

use crate::harness::{Harness, finished, said, thread};

#[test]
fn the_first_message_creates_the_session_and_every_message_changes_it() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "  hello \n there ");
    h.agent("r1", vec![said("x"), finished()]);
    let sessions = sessions(&mut h, "ann");
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0]["firstMessagePreview"], "hello there");
    assert_eq!((&sessions[0]["messageCount"], &sessions[0]["totalTokens"]), (&json!(1), &json!(0)));
    assert_eq!((&sessions[1]["messageCount"], &sessions[1]["totalTokens"]), (&json!(2), &json!(12)));
}

#[test]
fn clients_and_d1_learn_the_state_of_the_turns() {
    let mut h = thread();
    h.greet("ann");
    h.send("ann", &json!({ "type": "session_update", "title": "T" }));
    assert_eq!(sessions(&mut h, "ann").pop().unwrap()["state"], "idle");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    let told = states(&mut h, "ann");
    assert_eq!(told, ["running", "running"]);
    let (delivery, _) = h.host.deliveries.back().unwrap();
    assert_eq!(delivery.content.as_ref().unwrap().session.state, Some(SessionState::Running.into()));
    h.join("bob");
    assert!(h.frames("bob").iter().all(|frame| frame["session"]["state"] == "running"));
    h.finish("r1");
    assert_eq!(states(&mut h, "ann"), ["running"]);
    h.finish("r2");
    assert_eq!(states(&mut h, "ann"), ["idle"]);
    h.deliver();
    assert_eq!(h.host.thread().unwrap().shown_session().unwrap().state, Some(SessionState::Idle.into()));
}

#[test]
fn the_state_of_the_turns_is_not_stored_with_the_session() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.send("ann", &json!({ "type": "session_update", "title": "T" }));
    assert_eq!(h.host.store.checkpoint.as_ref().unwrap().session.state, None);
    h.host.crash(false);
    h.join("bob");
    let last =
        h.frames("bob").iter().rev().find_map(|frame| frame["session"]["state"].as_str().map(str::to_owned));
    assert_eq!(last.as_deref(), Some("idle"), "the turn was interrupted");
}

#[test]
fn an_update_is_sent_to_all_and_survives_a_crash() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "hello");
    h.frames("bob");
    h.send("ann", &json!({ "type": "session_update", "title": " T ", "permissionMode": "plan" }));
    let told = sessions(&mut h, "bob").remove(0);
    assert_eq!((&told["title"], &told["permissionMode"]), (&json!("T"), &json!("plan")));
    h.host.crash(false);
    h.join("bob");
    assert_eq!(h.frames("bob")[0]["session"]["title"], "T");
    h.send("bob", &json!({ "type": "session_update", "title": null }));
    assert_eq!(sessions(&mut h, "bob").pop().unwrap()["title"], Value::Null);
}

#[test]
fn settings_before_the_first_message_are_kept_with_the_sockets_and_taken_over() {
    let mut h = thread();
    h.greet("ann");
    h.send("ann", &json!({ "type": "session_update", "title": "T" }));
    h.send("ann", &json!({ "type": "session_update", "permissionMode": "plan" }));
    h.frames("ann");
    h.host.evict();
    h.join("bob");
    let connected = h.frames("bob").remove(0);
    assert_eq!(connected["status"], "not-created");
    assert_eq!((&connected["session"]["title"], &connected["cursor"]), (&json!("T"), &json!("0")));
    h.say("bob", "r1", "hello");
    let created = sessions(&mut h, "bob").remove(0);
    assert_eq!((&created["title"], &created["permissionMode"]), (&json!("T"), &json!("plan")));
}

#[test]
fn a_change_at_rest_causes_no_reset_after_the_next_hibernation() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.finish("r1");
    h.deliver();
    h.send("ann", &json!({ "type": "session_update", "title": "T" }));
    h.deliver();
    h.frames("ann");
    h.host.evict();
    h.send("ann", &json!({ "type": "ping" }));
    h.expect("ann", &[json!({ "type": "pong" })]);
    assert_eq!(h.host.alarm, None);
}

#[test]
fn an_empty_update_is_refused() {
    let mut h = thread();
    h.greet("ann");
    for update in
        [json!({}), json!({ "title": 1 }), json!({ "title": " " }), json!({ "permissionMode": "x" })]
    {
        let mut frame = update;
        frame["type"] = json!("session_update");
        h.send("ann", &frame);
        h.expect("ann", &[json!({ "type": "error", "error": { "code": "INVALID_MESSAGE" } })]);
    }
}

fn states(h: &mut Harness, name: &str) -> Vec<Value> {
    sessions(h, name).into_iter().map(|mut session| session["state"].take()).collect()
}

fn sessions(h: &mut Harness, name: &str) -> Vec<Value> {
    let frames = h.frames(name);
    frames.into_iter().filter(|it| it["type"] == "session").map(|mut it| it["session"].take()).collect()
}
