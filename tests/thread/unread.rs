//! A socket that does not show that it reads is closed before its unread frames fill the memory.

use bobbin::protocol::{Access, CloseCode, Identity};
use bobbin::thread::{Config, Input};
use serde_json::{Value, json};

use crate::harness::{Harness, thread_with};

const CHECK: usize = 10_000;
const SOCKET: usize = 80_000;
const ALL: usize = 640_000;

#[test]
fn a_socket_is_sent_a_check_after_each_interval_of_bytes() {
    let mut h = thread();
    h.greet("ann");
    let (mut since, mut numbers) = (h.greeted, Vec::new());
    for _ in 0..65 {
        h.tell(1_000);
        for frame in h.take("ann") {
            match check(&frame) {
                Some(n) => {
                    assert!(
                        (CHECK - 20..CHECK + 2_000).contains(&since),
                        "{since} bytes came before this check"
                    );
                    since = 0;
                    numbers.push(n);
                }
                None => since += frame.to_string().len(),
            }
        }
        h.answer("ann", &numbers);
    }
    assert!(numbers.len() >= 5, "{numbers:?}");
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() >= 5 && numbers.iter().all(|n| *n < 1 << 53), "{numbers:?}");
}

#[test]
fn a_client_that_answers_checks_stays_and_one_that_does_not_is_closed_with_4429_and_resumes_without_loss() {
    let mut h = thread();
    h.greet("reader");
    h.greet("idler");
    let (mut sent, mut held) = (0, String::new());
    while h.h.is_open("idler") {
        h.tell(1_000);
        let frames = h.take("reader");
        sent += frames.iter().map(|frame| frame.to_string().len()).sum::<usize>();
        h.answer("reader", &frames.iter().filter_map(check).collect::<Vec<_>>());
        if let Some(cursor) = frames.iter().rev().find_map(|frame| frame["cursor"].as_str()) {
            held = cursor.into();
        }
        assert!(sent < SOCKET + 3_000, "{sent} bytes were sent");
    }
    assert!(sent > SOCKET - 3_000, "it was closed after {sent} bytes");
    assert_eq!(h.h.closed("idler"), Some(CloseCode::TooMany));
    for _ in 0..200 {
        h.tell(1_000);
        let frames = h.take("reader");
        h.answer("reader", &frames.iter().filter_map(check).collect::<Vec<_>>());
    }
    assert!(h.h.is_open("reader"));
    h.h.resume("idler", &held);
    assert_eq!(h.take("idler")[0]["resumed"], json!(true));
}

#[test]
fn the_answer_to_a_check_covers_everything_before_it_and_any_other_number_nothing() {
    let mut h = thread();
    h.greet("ann");
    let mut numbers = Vec::new();
    while numbers.len() < 7 {
        h.tell(1_000);
        numbers.extend(h.take("ann").iter().filter_map(check));
    }
    // This is the last check but one: only later bytes are owed.
    h.answer("ann", &[numbers[5]]);
    h.answer("ann", &[numbers[2], 0, 7, numbers[5] + 1]);
    for _ in 0..(SOCKET - 2 * CHECK) / 1_200 {
        h.tell(1_000);
    }
    assert!(h.h.is_open("ann"));
    for number in 0..100 {
        h.answer("ann", &[number]);
    }
    for _ in 0..40 {
        h.tell(1_000);
    }
    assert_eq!(h.h.closed("ann"), Some(CloseCode::TooMany), "what it guessed did not help");
}

#[test]
fn an_answer_without_its_number_is_refused_and_says_what_is_missing() {
    let mut h = thread();
    h.greet("ann");
    for wrong in [r#"{"type":"check"}"#, r#"{"type":"check","n":"7"}"#, r#"{"type":"check","n":-1}"#] {
        h.h.send_text("ann", wrong);
        let [refusal] = h.take("ann").try_into().unwrap();
        assert_eq!((&refusal["refused"], &refusal["frame"]), (&json!("check"), &json!(wrong)));
        assert!(
            refusal["error"]["message"].as_str().unwrap().contains("the number of the check"),
            "{refusal}"
        );
    }
}

#[test]
fn the_bytes_that_a_socket_owes_survive_hibernation() {
    let mut h = thread();
    h.greet("ann");
    let mut rounds = 0;
    while h.h.is_open("ann") {
        rounds += 1;
        assert!(rounds < 90, "it may owe {SOCKET} bytes");
        h.tell(1_250);
        h.h.host.evict();
    }
    assert_eq!(h.h.closed("ann"), Some(CloseCode::TooMany));
}

#[test]
fn a_check_from_before_hibernation_can_be_answered_after_it() {
    let mut h = thread();
    h.greet("ann");
    for _ in 0..200 {
        h.tell(1_000);
        let numbers: Vec<u64> = h.take("ann").iter().filter_map(check).collect();
        if !numbers.is_empty() {
            h.h.host.evict();
        }
        h.answer("ann", &numbers);
    }
    assert!(h.h.is_open("ann"));
}

#[test]
fn the_bytes_that_all_owe_are_limited_and_those_that_owe_most_are_closed() {
    let mut h = thread();
    h.greet("reader");
    let idlers: Vec<String> = (0..40).map(|number| format!("idler{number}")).collect();
    for idler in &idlers {
        h.greet(idler);
    }
    for _ in 0..40 {
        h.tell(1_000);
        let numbers: Vec<u64> = h.take("reader").iter().filter_map(check).collect();
        h.answer("reader", &numbers);
    }
    let open = idlers.iter().filter(|idler| h.h.is_open(idler)).count();
    assert!(open < 20, "{open} sockets owe {} bytes", open * 40 * 1_200);
    assert!(h.h.is_open("reader"), "who reads stays");
    for idler in idlers.iter().filter(|idler| !h.h.is_open(idler)) {
        assert_eq!(h.h.closed(idler), Some(CloseCode::TooMany));
    }
}

#[test]
fn the_bytes_that_closed_sockets_owe_count_until_their_end_is_reported() {
    let mut closed_after = Vec::new();
    for is_reported in [true, false] {
        let mut h = thread();
        h.greet("reader");
        let mut rounds = 0;
        // Idle sockets come one after the other, and each is cut off at the limit for one socket.
        for idler in 0..12 {
            let name = format!("idler{idler}");
            h.greet(&name);
            while h.h.is_open(&name) {
                rounds += 1;
                h.tell(1_000);
                let numbers: Vec<u64> = h.take("reader").iter().filter_map(check).collect();
                h.answer("reader", &numbers);
            }
            if is_reported {
                h.h.leave(&name);
            }
        }
        closed_after.push(rounds);
        assert!(h.h.is_open("reader"), "who reads stays");
        // The report is not waited for forever.
        h.h.host.now += 30_000;
        h.greet("late");
        for _ in 0..40 {
            h.tell(1_000);
        }
        assert!(h.h.is_open("late"));
    }
    assert!(closed_after[1] < closed_after[0] * 9 / 10, "{closed_after:?}");
}

#[test]
fn many_sockets_that_read_do_not_exhaust_the_limit() {
    let mut h = thread();
    let readers: Vec<String> = (0..100).map(|number| format!("reader{number}")).collect();
    for reader in &readers {
        h.greet(reader);
    }
    for _ in 0..30 {
        h.tell(1_000);
        for reader in &readers {
            let numbers: Vec<u64> = h.take(reader).iter().filter_map(check).collect();
            h.answer(reader, &numbers);
        }
    }
    assert!(readers.iter().all(|reader| h.h.is_open(reader)));
}

#[test]
fn a_client_with_much_to_read_is_refused_more_and_not_closed_for_asking() {
    let mut h = thread();
    h.greet("ann");
    for _ in 0..45 {
        h.tell(1_000);
    }
    let numbers: Vec<u64> = h.take("ann").iter().filter_map(check).collect();
    let sync = json!({ "type": "session_sync", "cursor": "x" });
    for _ in 0..50 {
        h.h.send("ann", &sync);
        h.h.say("ann", "r1", "x");
    }
    for frame in h.take("ann").iter().filter(|frame| check(frame).is_none()) {
        assert_eq!(frame["error"]["code"], json!("RATE_LIMITED"), "{frame}");
    }
    h.answer("ann", &numbers);
    h.h.send("ann", &sync);
    assert_eq!(h.take("ann")[0]["type"], json!("snapshot"));
    assert!(h.h.is_open("ann"));
}

#[test]
fn a_viewer_answers_checks_too() {
    let mut h = thread();
    h.greet("ann");
    h.h.join_as("viewer", viewer());
    for _ in 0..150 {
        h.tell(1_000);
        for name in ["ann", "viewer"] {
            let numbers: Vec<u64> = h.take(name).iter().filter_map(check).collect();
            h.answer(name, &numbers);
        }
    }
    assert!(h.h.is_open("viewer") && h.h.is_open("ann"));
}

#[test]
fn answers_to_checks_use_up_no_allowance_and_a_repeated_one_counts_as_a_frame() {
    let mut h = thread_with_frames(20);
    let tabs: Vec<String> = (0..10).map(|number| format!("tab{number}")).collect();
    for tab in &tabs {
        h.h.join_as(tab, viewer());
        h.h.frames(tab);
    }
    let mut answered = Vec::new();
    for _ in 0..100 {
        h.tell(1_000);
        for tab in &tabs {
            let numbers: Vec<u64> = h.take(tab).iter().filter_map(check).collect();
            h.answer(tab, &numbers);
            answered.extend(numbers.into_iter().map(|n| (tab, n)));
        }
    }
    assert!(tabs.iter().all(|tab| h.h.is_open(tab)), "who reads stays");
    assert!(answered.len() > 40, "{} checks", answered.len());
    for (tab, n) in answered.iter().rev().take(21) {
        h.answer(tab, &[*n]);
    }
    assert!(tabs.iter().any(|tab| !h.h.is_open(tab)), "an answer counts once");
}

fn check(frame: &Value) -> Option<u64> {
    (frame["type"] == json!("check")).then(|| frame["n"].as_u64().unwrap())
}

fn viewer() -> Identity {
    Identity {
        subject: Some("v".into()),
        granted: Some(Access::Viewer),
        may_create: false,
        expires_at: None,
        trace: None,
    }
}

struct Told {
    h: Harness,
    times: usize,
    greeted: usize,
}

fn thread() -> Told {
    thread_with_frames(1_000_000)
}

/// Returns a thread whose subjects may send this many frames a minute.
fn thread_with_frames(frames: u64) -> Told {
    let config = Config {
        messages_per_minute: frames / 5,
        frames_per_minute_min: frames,
        check_bytes: CHECK as u64,
        socket_owed_bytes_max: SOCKET as u64,
        owed_bytes_max: ALL as u64,
        ..Config::default()
    };
    let mut h = thread_with(config);
    h.greet("writer");
    h.say("writer", "r1", "x");
    h.leave("writer");
    Told { h, times: 0, greeted: 0 }
}

impl Told {
    fn greet(&mut self, name: &str) {
        self.h.join(name);
        self.greeted = self.h.frames(name).iter().map(|frame| frame.to_string().len()).sum();
    }

    /// Changes the session so that about this many bytes go to all.
    fn tell(&mut self, bytes: usize) {
        self.times += 1;
        let title =
            format!("{}{}", self.times, "🧵".repeat((bytes - 300) / 4).chars().take(190).collect::<String>());
        let update = bobbin::protocol::SessionUpdate { title: Some(Some(title)), ..Default::default() };
        self.h.host.pump(Input::Update(update));
    }

    fn take(&mut self, name: &str) -> Vec<Value> {
        self.h.frames(name)
    }

    fn answer(&mut self, name: &str, numbers: &[u64]) {
        for n in numbers {
            self.h.send(name, &json!({ "type": "check", "n": n }));
        }
    }
}
