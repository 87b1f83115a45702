//! Pages of the log, each at its limit.

use bobbin::protocol::CloseCode;
use bobbin::protocol::limits::{
    AGENT_BYTES, AGENT_MESSAGES, CATCH_UP_BYTES_MAX, DELIVERY_MESSAGES_MAX, MESSAGE_BYTES_MAX, SOCKETS_MAX,
    UNSAVED_EVENTS_MAX,
};
use bobbin::thread::Config;
use serde_json::json;

use crate::harness::{Harness, finished, said, thread, thread_with};
use crate::support::Seen;

const LARGE: usize = MESSAGE_BYTES_MAX - 1_024;

#[test]
fn the_bytes_of_a_catch_up_are_limited() {
    let mut h = thread();
    h.greet("ann");
    for turn in 0..CATCH_UP_BYTES_MAX / LARGE {
        turn_over(&mut h, turn, &"x".repeat(LARGE));
    }
    h.resume("bob", "0");
    assert_eq!(h.frames("bob")[0]["resumed"], json!(true));
    turn_over(&mut h, 1_000, &"x".repeat(LARGE));
    h.resume("bob", "0");
    assert_eq!(h.frames("bob")[0]["resumed"], json!(false));
}

#[test]
fn the_messages_of_a_delivery_are_limited_and_the_next_one_continues() {
    let mut h = thread();
    h.greet("ann");
    turn_over(&mut h, 0, "x");
    h.host.deliveries.clear();
    for turn in 1..DELIVERY_MESSAGES_MAX {
        turn_over(&mut h, turn, "x");
    }
    h.host.crash(false);
    h.greet("ann");
    for _ in 0..2 {
        let (delivery, _) = h.host.deliveries.front().unwrap();
        assert_eq!(delivery.content.as_ref().unwrap().records.len(), DELIVERY_MESSAGES_MAX);
        h.deliver_one();
    }
    assert!(h.host.deliveries.is_empty());
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_thread_that_never_rests_writes_a_checkpoint_now_and_then() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "busy", "x");
    let mut events = 0;
    while h.host.store.checkpoint.as_ref().unwrap().seq == 0 {
        h.say("ann", &format!("r{events}"), "x");
        h.send("ann", &json!({ "type": "cancel", "requestId": format!("r{events}") }));
        events += 4;
        assert!(events <= UNSAVED_EVENTS_MAX, "{events} events without a checkpoint");
    }
    assert!(events + 4 >= UNSAVED_EVENTS_MAX, "a checkpoint after {events} events");
    let session = h.host.thread().unwrap().session().cloned();
    h.host.crash(false);
    h.greet("ann");
    let woken = h.host.thread().unwrap().session().cloned().unwrap();
    assert_eq!(woken.message_count, session.unwrap().message_count + 1);
}

#[test]
fn an_agents_messages_are_limited_and_begin_with_a_users() {
    let mut h = thread();
    h.greet("ann");
    for turn in 0..AGENT_MESSAGES / 2 {
        turn_over(&mut h, turn, &format!("question {turn}"));
    }
    h.say("ann", "last", "the question");
    let asked = asked(&mut h);
    // With one more, the oldest would be the answer to question 0, which is left out.
    assert_eq!(asked.len(), AGENT_MESSAGES - 1);
    assert_eq!((asked[0].as_str(), asked.last().unwrap().as_str()), ("question 1", "the question"));
}

#[test]
fn an_agents_bytes_are_limited_not_counting_its_own_message() {
    let mut h = thread();
    h.greet("ann");
    for turn in 0..8 {
        turn_over(&mut h, turn, &"x".repeat(LARGE));
    }
    h.say("ann", "last", &"y".repeat(LARGE));
    let bytes: usize = asked(&mut h).iter().map(String::len).sum();
    assert!((AGENT_BYTES - LARGE..=AGENT_BYTES + LARGE).contains(&bytes), "{bytes} bytes");
}

#[test]
fn the_sockets_of_a_thread_are_limited() {
    let mut h = thread_with(Config { sockets_max: 3, ..Config::default() });
    assert_eq!(Config::default().sockets_max, SOCKETS_MAX);
    for name in ["a", "b", "c", "d"] {
        h.join(name);
    }
    assert!(h.is_open("c") && !h.is_open("d"));
    assert!(h.host.links.values().any(|link| link.close == Some(CloseCode::TooMany)));
    h.leave("a");
    h.join("d");
    assert!(h.is_open("d"));
}

fn turn_over(h: &mut Harness, nth: usize, text: &str) {
    let request_id = format!("r{nth}");
    h.say("ann", &request_id, text);
    h.agent(&request_id, vec![said("x"), finished()]);
    h.frames("ann");
}

fn asked(h: &mut Harness) -> Vec<String> {
    let asked = h.seen().into_iter().filter_map(|seen| match seen {
        Seen::Started { request, .. } => Some(request),
        _ => None,
    });
    let asked = asked.last().expect("an agent was asked");
    asked.messages.iter().map(|message| message.content.text()).collect()
}
