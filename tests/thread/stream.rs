use bobbin::agent::AgentEvent;
use bobbin::protocol::limits::{
    COALESCE_BYTES_MAX, COALESCE_MEASURED_MS_MAX, COALESCE_MEASURED_SOCKETS, COALESCE_MS_MAX,
    COALESCE_MS_MIN, COALESCE_TIMER_PART, ENDING_MS, JOURNAL_BYTES_MAX, SILENT_IDLES_MAX,
};
use bobbin::thread::Config;
use serde_json::json;

use crate::harness::{Harness, ending, finished, said, thread, thread_with, tokens};

#[test]
fn the_first_text_goes_out_at_once_and_so_does_text_after_a_pause() {
    let mut h = running();
    for _ in 0..3 {
        h.text("r1", "x");
        h.expect("ann", &[json!({ "type": "token", "token": "x" })]);
        h.wait(COALESCE_MS_MIN);
    }
}

#[test]
fn text_soon_after_a_frame_is_gathered_and_waits_no_longer_than_the_limit() {
    let mut h = running();
    h.text("r1", "a");
    h.frames("ann");
    h.wait(1);
    h.text("r1", "b");
    h.wait(1);
    h.text("r1", "c");
    h.wait(LONGEST_WAIT_MS_MIN - 3);
    h.expect_nothing("ann");
    h.wait(1);
    h.expect("ann", &[json!({ "type": "token", "token": "bc" })]);
}

#[test]
fn text_for_many_sockets_is_gathered_longer() {
    let mut h = watched_by_100();
    h.text("r1", "a");
    h.frames("ann");
    h.text("r1", "b");
    h.wait(LONGEST_WAIT_MS_MAX - 1);
    h.expect_nothing("ann");
    h.wait(1);
    h.expect("ann", &[json!({ "type": "token", "token": "b" })]);
}

#[test]
fn text_for_a_crowd_is_gathered_for_as_long_as_its_last_frame_took() {
    let mut h = watched_by(COALESCE_MEASURED_SOCKETS);
    h.text("r1", "a");
    h.frames("ann");
    let sent_at = h.host.now;
    assert_eq!(h.deadline(), Some(sent_at), "the clock is looked at once the frame is out");
    h.host.now += 100;
    h.text("r1", "b");
    h.expect_nothing("ann");
    h.host.fire_timer();
    for piece in ["c", "d"] {
        h.wait(49);
        h.text("r1", piece);
    }
    h.expect_nothing("ann");
    h.wait(2);
    h.expect("ann", &[json!({ "type": "token", "token": "bcd" })]);
    h.text("r1", "e");
    h.finish("r1");
    h.expect("ann", &[json!({ "type": "token", "token": "e" }), json!({ "type": "final" })]);
}

#[test]
fn a_clock_that_is_set_does_not_delay_text_for_a_crowd() {
    for seconds in [30_i64, -3600] {
        let mut h = watched_by(COALESCE_MEASURED_SOCKETS);
        h.text("r1", "a");
        h.frames("ann");
        h.host.now = h.host.now.saturating_add_signed(seconds * 1000);
        h.host.fire_timer();
        h.wait(COALESCE_MEASURED_MS_MAX);
        h.text("r1", "b");
        h.expect("ann", &[json!({ "type": "token", "token": "b" })]);
    }
}

#[test]
fn a_thread_without_a_crowd_does_not_look_at_the_clock() {
    let mut h = watched_by(COALESCE_MEASURED_SOCKETS - 2);
    h.text("r1", "a");
    assert!(h.deadline() > Some(h.host.now));
}

#[test]
fn gathered_text_is_sent_along_with_the_next_text_that_is_due() {
    let mut h = watched_by_100();
    h.text("r1", "a");
    h.frames("ann");
    for piece in ["b", "c"] {
        h.wait(5);
        h.text("r1", piece);
    }
    h.wait(COALESCE_MS_MAX - 11);
    h.text("r1", "d");
    h.expect_nothing("ann");
    h.wait(1);
    h.text("r1", "e");
    h.expect("ann", &[json!({ "type": "token", "token": "bcde" })]);
    h.wait(LONGEST_WAIT_MS_MAX);
    h.expect_nothing("ann");
}

#[test]
fn the_text_of_one_read_is_one_frame() {
    let mut h = running();
    h.agent("r1", vec![said("a"), said("b"), said("c")]);
    h.expect("ann", &[json!({ "type": "token", "token": "abc" })]);
}

#[test]
fn much_text_does_not_wait() {
    let mut h = running();
    h.text("r1", "a");
    h.text("r1", &"b".repeat(COALESCE_BYTES_MAX - 1));
    h.expect("ann", &[json!({ "token": "a" })]);
    h.text("r1", "c");
    h.expect("ann", &[json!({ "type": "token" })]);
}

#[test]
fn at_most_half_a_second_of_text_is_lost_whenever_the_object_dies() {
    for crash_after_ms in (0..3_000_usize).step_by(37) {
        let mut h = running();
        for _ in 0..crash_after_ms / 10 {
            h.text("r1", "x");
            h.wait(10);
        }
        h.host.crash(false);
        h.wait(60_000);
        let kept = h.host.store.records.values().last().unwrap().content.text().len();
        let due = (crash_after_ms / 10).saturating_sub(50);
        assert!(kept >= due, "{kept} of {due} pieces are left after {crash_after_ms} ms");
    }
}

#[test]
fn much_text_is_journalled_at_once() {
    let mut h = running();
    h.text("r1", &"x".repeat(JOURNAL_BYTES_MAX));
    let turn = h.turn("r1");
    assert_eq!(h.host.store.journal_of(turn).unwrap().text.len(), JOURNAL_BYTES_MAX);
}

#[test]
fn an_answer_whose_end_was_announced_is_over_after_a_silence_and_its_call_is_closed() {
    let mut h = running();
    h.agent("r1", vec![said("Hi"), ending()]);
    h.frames("ann");
    h.seen();
    // Data that is not part of the answer, such as a comment, changes nothing.
    h.wait(ENDING_MS - 1);
    h.agent("r1", vec![]);
    h.expect_nothing("ann");
    h.wait(1);
    let response = json!({ "content": "Hi", "metadata": { "tokensUsed": 12 } });
    h.expect("ann", &[json!({ "type": "final", "response": response })]);
    assert_eq!(h.aborted().len(), 1);
    h.agent("r1", vec![said("a ghost's words"), finished()]);
    h.wait(100_000);
    h.expect_nothing("ann");
}

#[test]
fn more_text_after_an_announced_end_prolongs_the_wait_and_the_end_itself_ends_it() {
    let mut h = running();
    h.agent("r1", vec![said("Hi"), ending()]);
    h.wait(ENDING_MS - 1);
    h.agent("r1", vec![said(" you")]);
    h.frames("ann");
    h.wait(ENDING_MS);
    h.expect_nothing("ann");
    h.agent("r1", vec![ending()]);
    h.agent("r1", vec![finished()]);
    h.expect("ann", &[json!({ "type": "final", "response": { "content": "Hi you" } })]);
    h.say("ann", "r2", "next");
    h.frames("ann");
    h.wait(ENDING_MS);
    h.expect_nothing("ann");
}

#[test]
fn an_agent_that_announced_its_end_does_not_time_out() {
    let mut h = thread_with(Config { agent_idle_timeout_ms: ENDING_MS / 2, ..Config::default() });
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.agent("r1", vec![said("Hi"), ending()]);
    h.frames("ann");
    h.wait(ENDING_MS / 2);
    h.expect("ann", &[json!({ "type": "final" })]);
}

#[test]
fn an_agent_may_take_longer_for_its_first_word_than_for_the_next() {
    let config = Config::default();
    let mut h = running();
    h.wait(config.agent_first_token_timeout_ms - 1);
    h.expect_nothing("ann");
    h.text("r1", "Well");
    h.frames("ann");
    h.wait(config.agent_idle_timeout_ms - 1);
    h.expect_nothing("ann");
    h.wait(1);
    let ends = h.expect(
        "ann",
        &[json!({ "type": "error", "error": { "code": "AGENT_TIMEOUT", "retryable": true } })],
    );
    assert!(ends[0]["error"]["message"].as_str().unwrap().contains("for 60000 ms"));
    assert_eq!(h.aborted().len(), 1);
}

#[test]
fn keep_alives_prolong_a_silence_only_up_to_a_limit() {
    let config = Config::default();
    for (first_ms, said, longest_ms) in [
        (config.agent_first_token_timeout_ms, false, config.agent_first_token_timeout_ms),
        (1_000, false, SILENT_IDLES_MAX * config.agent_idle_timeout_ms),
        (1_000, true, SILENT_IDLES_MAX * config.agent_idle_timeout_ms),
    ] {
        let mut h = thread_with(Config { agent_first_token_timeout_ms: first_ms, ..config });
        h.greet("ann");
        h.say("ann", "r1", "hello");
        if said {
            h.text("r1", "Well");
        }
        h.frames("ann");
        for _ in 1..longest_ms / 500 {
            h.wait(500);
            h.agent("r1", vec![]);
        }
        h.wait(499);
        h.expect_nothing("ann");
        h.wait(1);
        h.expect("ann", &[json!({ "type": "error", "error": { "code": "AGENT_TIMEOUT" } })]);
    }
}

#[test]
fn a_growing_block_is_no_silence_but_the_turns_timeout_still_applies() {
    let config = Config::default();
    let mut h = running();
    let every_ms = config.agent_idle_timeout_ms - 1;
    for _ in 0..config.agent_turn_timeout_ms / every_ms {
        h.agent("r1", vec![AgentEvent::Gathering]);
        h.wait(every_ms);
    }
    h.expect_nothing("ann");
    h.agent("r1", vec![AgentEvent::Gathering]);
    h.wait(config.agent_turn_timeout_ms % every_ms);
    let ends = h.expect("ann", &[json!({ "type": "error", "error": { "code": "AGENT_TIMEOUT" } })]);
    assert!(ends[0]["error"]["message"].as_str().unwrap().contains("longer than 3600000 ms"));
}

#[test]
fn an_answer_of_400_tokens_in_8_seconds_costs_at_most_20_rows() {
    let mut h = thread();
    h.greet("ann");
    let mut before = 0;
    for request_id in ["r1", "r2"] {
        h.say("ann", request_id, "hello");
        for word in 0..400 {
            h.wait(if word == 0 { 0 } else { 20 });
            h.text(request_id, "word ");
        }
        h.finish(request_id);
        h.deliver();
        h.wait(1_000);
        let rows = h.rows_written() - before;
        assert!(rows <= 20, "{rows} rows");
        before = h.rows_written();
    }
}

#[test]
fn a_fast_answer_costs_few_frames_and_no_token() {
    let mut h = running();
    for _ in 0..100 {
        for _ in 0..4 {
            h.text("r1", "word ");
        }
        h.wait(1);
    }
    h.agent("r1", vec![finished()]);
    let frames = h.frames("ann");
    assert_eq!(tokens(&frames, "r1"), "word ".repeat(400));
    assert!(frames.len() < 40, "{} frames", frames.len());
}

const LONGEST_WAIT_MS_MIN: u64 = COALESCE_MS_MIN + COALESCE_MS_MIN / COALESCE_TIMER_PART;
const LONGEST_WAIT_MS_MAX: u64 = COALESCE_MS_MAX + COALESCE_MS_MAX / COALESCE_TIMER_PART;

fn watched_by_100() -> Harness {
    watched_by(100)
}

fn watched_by(watchers: usize) -> Harness {
    let mut h = running();
    for watcher in 0..watchers {
        h.greet(&format!("watcher {watcher}"));
    }
    h
}

fn running() -> Harness {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.frames("ann");
    h
}
