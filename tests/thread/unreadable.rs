//! Unreadable data in the store costs only itself.

use bobbin::protocol::Role;
use bobbin::protocol::limits::GUARD_MS;
use serde_json::json;

use crate::harness::{Harness, finished, said, thread, thread_of};
use crate::support::{Seen, Spoilt};

#[test]
fn a_message_that_cannot_be_read_any_more_is_still_known_when_it_is_sent_again() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("x"), finished()]);
    h.frames("ann");
    spoil(&mut h, "r1");
    h.say("ann", "r1", "one");
    let message = json!({ "status": "failed", "error": { "code": "STORAGE_ERROR" } });
    h.expect(
        "ann",
        &[
            json!({ "type": "user_message", "requestId": "r1", "message": message }),
            json!({ "type": "final", "requestId": "r1" }),
        ],
    );
}

#[test]
fn a_turn_whose_message_cannot_be_read_when_it_starts_fails_and_calls_no_agent() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    spoil(&mut h, "r2");
    h.frames("ann");
    h.seen();
    h.finish("r1");
    assert!(h.started().is_empty());
    let frames =
        h.expect("ann", &[json!({ "type": "final" }), json!({ "type": "error", "requestId": "r2" })]);
    assert_eq!(frames[1]["error"]["code"], json!("STORAGE_ERROR"));
}

#[test]
fn an_agent_is_not_given_turns_with_an_unreadable_message() {
    let mut h = thread();
    h.greet("ann");
    for id in ["r1", "r2"] {
        h.say("ann", id, id);
        h.agent(id, vec![said("x"), finished()]);
    }
    spoil(&mut h, "r1");
    h.seen();
    h.say("ann", "r3", "three");
    let request = h.seen().into_iter().find_map(|seen| match seen {
        Seen::Started { request, .. } => Some(request),
        _ => None,
    });
    let messages = request.expect("an agent is asked").messages;
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    assert_eq!(messages[0].content.text(), "r2");
}

#[test]
fn every_turn_ends_even_if_the_list_of_open_turns_cannot_be_read() {
    let mut h = thread_of(2);
    h.greet("ann");
    h.say("ann", "r0", "over");
    h.agent("r0", vec![said("x"), finished()]);
    for id in ["r1", "r2", "r3"] {
        h.say("ann", id, id);
    }
    // This writes a checkpoint that names them.
    h.send("ann", &json!({ "type": "session_update", "title": "t" }));
    h.host.store.spoilt.push(Spoilt::Checkpoint { column: "open" });
    h.host.crash(false);
    h.seen();
    h.wait(GUARD_MS);
    assert_eq!(h.started(), [h.turn("r3")]);
    h.finish("r3");
    let ends = h.host.store.records.values().filter(|record| record.is_end());
    let mut ended: Vec<String> = ends.map(|record| record.request_id.clone()).collect();
    ended.sort_unstable();
    assert_eq!(ended, ["r0", "r1", "r2", "r3"]);
}

/// Spoils the text of a stored message.
fn spoil(h: &mut Harness, request_id: &str) {
    let seq = h.turn(request_id);
    h.host.store.spoilt.push(Spoilt::Record { seq, column: "content" });
}
