use bobbin::agent::{Answered, Form, Refusal};
use bobbin::protocol::limits::{AGENT_FILES_BYTES_MAX, AGENT_TEXT_BYTES_MAX, FILES_UNNAMED_MAX};
use bobbin::protocol::{Access, Block, Content, Identity, Role, file_path};
use bobbin::thread::{Config, Denied, File, FileState, Input, Request, Unserved};
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, thread, thread_with};
use crate::support::{Seen, Sudden};

const DAY_MS: u64 = 24 * 3_600_000;
const SESSION: &str = "s1";

#[test]
fn an_upload_is_one_row_and_an_alarm_and_nothing_after_a_day() {
    let mut h = thread();
    upload(&mut h, "ann", "f1");
    assert_eq!(h.host.store.files.len(), 1);
    assert!(h.host.store.checkpoint.is_none() && h.host.store.records.is_empty(), "nothing of a session");
    assert_eq!(h.host.alarm, Some(h.host.now + DAY_MS));
    assert_eq!((h.host.timer(), h.deadline()), (None, None), "the object may sleep");
    h.host.evict();
    h.wait(DAY_MS - 1);
    assert!(may_have(&mut h, "ann", "f1"));
    h.wait(1);
    assert!(!may_have(&mut h, "ann", "f1"));
    assert_eq!(removed(&mut h), [["f1"]]);
    assert!(h.host.store.files.is_empty() && h.host.bucket.is_empty());
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_file_that_a_message_names_stays_and_the_alarm_goes() {
    let mut h = thread();
    h.join_with_token("ann", None);
    upload(&mut h, "ann", "f1");
    h.frames("ann");
    h.seen();
    send_file(&mut h, "ann", "r1", &path("f1"));
    h.expect("ann", &[json!({ "type": "user_message" })]);
    let commits: Vec<_> = h.seen().into_iter().filter(|seen| matches!(seen, Seen::Stored(_))).collect();
    assert_eq!(commits.len(), 1, "named in the commit that accepts the message: {commits:?}");
    h.finish("r1");
    h.deliver();
    h.wait(2 * DAY_MS);
    assert!(may_have(&mut h, "ann", "f1"));
    assert_eq!((h.host.alarm, h.host.removals.len()), (None, 0));
}

#[test]
fn only_its_uploader_may_read_a_file_until_a_message_names_it_and_then_all_readers_of_the_session() {
    let mut h = begun();
    h.join_as("vic", named("vic", Access::Viewer));
    upload(&mut h, "ann", "f1");
    let vic = named("vic", Access::Viewer);
    assert!(may_have(&mut h, "ann", "f1"));
    assert_eq!(asked(&mut h, &vic, "f1"), "NOT_FOUND");
    assert_eq!(asked(&mut h, &named("eve", Access::Editor), "f1"), "NOT_FOUND");
    send_file(&mut h, "ann", "r2", &path("f1"));
    assert_eq!(asked(&mut h, &vic, "f1"), "yes");
    let stranger = token("mallory");
    assert_eq!(asked(&mut h, &stranger, "f1"), "no session");
    assert_eq!(asked(&mut h, &vic, "f2"), "NOT_FOUND");
}

#[test]
fn before_anybody_has_begun_the_session_strangers_learn_nothing_of_an_upload() {
    let mut h = thread();
    upload(&mut h, "ann", "f1");
    assert_eq!(asked(&mut h, &token("mallory"), "f1"), "no session");
    // Even the owner of the session cannot get it or send it.
    h.join_with_token("bob", None);
    h.frames("bob");
    send_file(&mut h, "bob", "r1", &path("f1"));
    h.expect("bob", &[json!({ "refused": "message", "requestId": "r1", "error": { "code": "NOT_FOUND" } })]);
    h.say("bob", "r2", "mine");
    assert_eq!(asked(&mut h, &token("ann"), "f1"), "no session");
    h.wait(DAY_MS);
    assert_eq!(removed(&mut h), [["f1"]]);
}

#[test]
fn a_message_with_a_file_that_it_may_not_name_is_refused_and_stores_nothing() {
    let mut h = begun();
    h.join_as("eve", named("eve", Access::Editor));
    upload(&mut h, "ann", "f1");
    h.frames("eve");
    let rows = h.rows_written();
    for (url, code, words) in [
        ("/sessions/other/files/f1", "INVALID_MESSAGE", "another session"),
        ("/sessions/s1/files/", "INVALID_MESSAGE", "/sessions/{id}/files/{file}"),
        ("/sessions/s1/files/a/b", "INVALID_MESSAGE", "/sessions/{id}/files/{file}"),
        ("/sessions/s1/../s2/files/f1", "INVALID_MESSAGE", "/sessions/{id}/files/{file}"),
        ("/sessions/s1/files/none", "NOT_FOUND", "upload it again"),
        // Another subject's file.
        ("/sessions/s1/files/f1", "NOT_FOUND", "upload it again"),
    ] {
        send_file(&mut h, "eve", "r9", url);
        let frames = h
            .expect("eve", &[json!({ "refused": "message", "error": { "code": code, "retryable": false } })]);
        let message = frames[0]["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{url}: {message}");
    }
    assert_eq!(h.rows_written(), rows);
}

#[test]
fn a_file_that_has_not_come_or_came_a_day_ago_cannot_be_named() {
    let mut h = begun();
    announce(&mut h, "ann", "f1");
    send_file(&mut h, "ann", "r2", &path("f1"));
    assert!(h.frames("ann").iter().any(|frame| frame["error"]["code"] == "NOT_FOUND"));
    come(&mut h, "f1");
    h.host.now += DAY_MS;
    send_file(&mut h, "ann", "r2", &path("f1"));
    assert!(h.frames("ann").iter().any(|frame| frame["error"]["code"] == "NOT_FOUND"));
    assert_eq!(removed(&mut h), [["f1"]]);
}

#[test]
fn a_message_that_is_sent_again_does_not_need_its_file_any_more() {
    let mut h = begun();
    upload(&mut h, "ann", "f1");
    h.frames("ann");
    send_file(&mut h, "ann", "r2", &path("f1"));
    h.host.store.files.clear();
    h.frames("ann");
    send_file(&mut h, "ann", "r2", &path("f1"));
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r2" }), json!({ "type": "queued" })]);
}

#[test]
fn a_deletion_leaves_no_file_even_if_the_bucket_is_down_for_long() {
    let mut h = begun();
    for file in ["f1", "f2", "f3"] {
        upload(&mut h, "ann", file);
    }
    send_file(&mut h, "ann", "r2", &path("f1"));
    h.host.pump(Input::Delete);
    h.deliver();
    assert_eq!(asked(&mut h, &token("ann"), "f1"), "no session");
    for _ in 0..5 {
        let (ids, _) = h.host.removals.pop_front().expect("the bucket is asked");
        assert_eq!(ids, ["f1", "f2", "f3"]);
        h.host.pump(Input::FilesNotRemoved);
        let alarm = h.host.alarm.expect("an alarm");
        h.host.evict();
        h.wait(alarm - h.host.now);
    }
    // The last request is never answered, and the object dies.
    h.host.crash(false);
    h.host.removals.clear();
    h.wait(60_000);
    assert_eq!(removed(&mut h), [["f1", "f2", "f3"]]);
    assert!(h.host.store.files.is_empty() && h.host.bucket.is_empty());
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_bucket_that_never_answers_is_asked_again() {
    let mut h = thread();
    upload(&mut h, "ann", "f1");
    h.wait(DAY_MS);
    h.host.removals.clear();
    h.wait(60_000);
    assert_eq!(removed(&mut h), [["f1"]]);
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_deleted_session_and_the_next_one_do_not_share_files() {
    let mut h = begun();
    upload(&mut h, "ann", "old");
    send_file(&mut h, "ann", "r2", &path("old"));
    h.host.pump(Input::Delete);
    h.join_with_token("ann", None);
    upload(&mut h, "ann", "new");
    h.frames("ann");
    send_file(&mut h, "ann", "r3", &path("old"));
    h.expect("ann", &[json!({ "error": { "code": "NOT_FOUND" } })]);
    send_file(&mut h, "ann", "r4", &path("new"));
    h.expect("ann", &[json!({ "type": "user_message" })]);
    h.host.removals.clear();
    h.host.evict();
    assert_eq!(removed(&mut h), [["old"]]);
    assert_eq!(asked(&mut h, &token("ann"), "old"), "NOT_FOUND");
    assert_eq!(asked(&mut h, &token("ann"), "new"), "yes");
    assert_eq!(h.host.bucket.iter().collect::<Vec<_>>(), ["new"]);
}

#[test]
fn a_file_that_is_coming_while_its_session_is_deleted_goes_once_it_has_come() {
    let mut h = begun();
    announce(&mut h, "ann", "f1");
    h.host.pump(Input::Delete);
    h.deliver();
    assert!(removed(&mut h).is_empty(), "its bytes may come behind their deletion");
    come(&mut h, "f1");
    assert!(h.host.thread().is_some_and(|thread| !thread.has_uploaded("f1")));
    assert_eq!(removed(&mut h), [["f1"]]);
    assert!(h.host.bucket.is_empty() && h.host.store.files.is_empty());
}

#[test]
fn an_upload_that_a_crash_broke_off_goes_with_the_sweep() {
    let mut h = thread();
    announce(&mut h, "ann", "f1");
    h.host.crash(false);
    h.host.bucket.insert("f1".into());
    assert!(!may_have(&mut h, "ann", "f1"));
    h.wait(DAY_MS);
    assert_eq!(removed(&mut h), [["f1"]]);
    assert!(h.host.bucket.is_empty() && h.host.store.files.is_empty());
}

#[test]
fn an_upload_that_broke_off_is_forgotten_at_once() {
    let mut h = thread();
    announce(&mut h, "ann", "f1");
    h.host.pump(Input::FileLost { id: "f1".into() });
    assert_eq!(removed(&mut h), [["f1"]]);
    assert!(h.host.store.files.is_empty());
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_caller_that_has_only_uploaded_deletes_only_its_own_files() {
    let mut h = thread();
    upload(&mut h, "ann", "f1");
    upload(&mut h, "bob", "f2");
    assert_eq!(h.host.request(&token("eve"), Request::Delete), Err(Denied::NoSession));
    assert_eq!(h.host.request(&token("ann"), Request::Delete), Ok(()));
    assert_eq!(removed(&mut h), [["f1"]]);
    assert!(may_have(&mut h, "bob", "f2"));
    assert_eq!(h.host.request(&token("ann"), Request::Delete), Err(Denied::NoSession));
}

#[test]
fn each_subjects_uploads_are_limited_separately() {
    let mut h = begun();
    for file in 0..FILES_UNNAMED_MAX {
        upload(&mut h, "ann", &format!("f{file}"));
    }
    let refused = |h: &mut Harness, who| {
        h.host
            .thread()
            .unwrap()
            .refuses_upload(Some(who))
            .map(|error| (error.code.as_str().to_owned(), error.retryable))
    };
    assert_eq!(refused(&mut h, "ann"), Some(("RATE_LIMITED".into(), true)));
    assert_eq!(refused(&mut h, "eve"), None);
    send_file(&mut h, "ann", "r2", &path("f0"));
    assert_eq!(refused(&mut h, "ann"), None);
}

#[test]
fn without_a_bucket_small_data_urls_work_and_other_files_are_refused_with_the_binding_to_set() {
    let mut h = thread_with(Config { keeps_files: false, ..Config::default() });
    h.join_with_token("ann", None);
    h.frames("ann");
    send_file(&mut h, "ann", "r1", &path("f1"));
    let frames = h.expect("ann", &[json!({ "error": { "code": "NOT_CONFIGURED", "retryable": false } })]);
    assert!(frames[0]["error"]["message"].as_str().unwrap().contains("FILES"));
    send_file(&mut h, "ann", "r1", "data:image/png;base64,AAAA");
    h.expect("ann", &[json!({ "type": "user_message" })]);
    assert_eq!(asked(&mut h, &token("ann"), "f1"), "NOT_CONFIGURED");
}

#[test]
fn a_failed_commit_names_no_file_and_the_same_message_again_does() {
    let mut h = begun();
    upload(&mut h, "ann", "f1");
    h.frames("ann");
    h.host.faults.writes = Some((0, 1, false));
    send_file(&mut h, "ann", "r2", &path("f1"));
    assert!(h.host.store.files["f1"].due.is_some());
    send_file(&mut h, "ann", "r2", &path("f1"));
    assert!(h.host.store.files["f1"].due.is_none());
    assert!(h.frames("ann").iter().any(|frame| frame["type"] == "user_message"));
}

/// Wherever the object dies, the bucket ends up with exactly the files that messages name.
#[test]
fn wherever_the_object_dies_no_byte_is_forgotten_and_no_named_file_is_deleted() {
    for after in 0..40 {
        let mut h = begun();
        h.host.faults.sudden = Some((after, Sudden::Crash { sockets_survive: after % 2 == 0 }));
        upload(&mut h, "ann", "kept");
        upload(&mut h, "ann", "dropped");
        if !h.host.links.values().any(|link| link.is_open) {
            h.join_with_token("ann", None);
        }
        send_file(&mut h, "ann", "r2", &path("kept"));
        if h.host.store.files.get("kept").is_none_or(|file| file.due.is_some()) {
            h.join_with_token("ann", None);
            send_file(&mut h, "ann", "r2", &path("kept"));
        }
        h.host.faults.sudden = None;
        let is_named = h.host.store.files.get("kept").is_some_and(|file| file.due.is_none());
        h.wait(2 * DAY_MS);
        removed(&mut h);
        h.wait(DAY_MS);
        removed(&mut h);
        let left: Vec<&str> = h.host.bucket.iter().map(String::as_str).collect();
        assert_eq!(left, if is_named { vec!["kept"] } else { Vec::new() }, "after {after}");
        assert_eq!(h.host.store.files.len(), left.len(), "after {after}");
        h.host.pump(Input::Delete);
        h.host.crash(false);
        h.host.removals.clear();
        h.wait(DAY_MS);
        removed(&mut h);
        assert!(h.host.bucket.is_empty() && h.host.store.files.is_empty(), "after {after}");
    }
}

#[test]
fn an_agent_is_given_images_pdfs_and_small_texts_and_the_names_of_the_rest() {
    let mut h = begun();
    h.finish("r1");
    let files = [
        ("image", "image/png", 10),
        ("pdf", "application/pdf", AGENT_FILES_BYTES_MAX - 100),
        ("text", "text/csv", 20),
        ("long", "text/plain", AGENT_TEXT_BYTES_MAX + 1),
        ("zip", "application/zip", 10),
        ("svg", "image/svg+xml", 10),
        ("big", "image/jpeg", 100),
    ];
    for (id, media_type, size) in files {
        h.host.pump(Input::Upload(File { media_type: media_type.into(), size, ..file("ann", id) }));
        come(&mut h, id);
    }
    let blocks: Vec<Value> = files.iter().map(|(id, _, _)| block(&path(id))).collect();
    h.seen();
    h.send("ann", &json!({ "type": "message", "requestId": "r2", "content": blocks }));
    let (request, enclosed) = h
        .seen()
        .into_iter()
        .find_map(|seen| match seen {
            Seen::Started { request, enclosed, .. } => Some((request, enclosed)),
            _ => None,
        })
        .expect("an agent is asked");
    let forms: Vec<(&str, Form)> = enclosed.files.iter().map(|(id, form)| (id.as_str(), *form)).collect();
    assert_eq!(
        forms,
        [("image", Form::Data), ("pdf", Form::Data), ("text", Form::Text), ("svg", Form::Text)]
    );
    let last = request.messages.last().unwrap();
    assert_eq!(last.role, Role::User);
    let Content::Blocks(blocks) = &last.content else { panic!("{last:?}") };
    let mark = &enclosed.mark;
    let url = |block: &Block| {
        if let Block::File { url, media_type, .. } = block {
            (url.clone(), media_type.clone())
        } else {
            panic!()
        }
    };
    assert_eq!(url(&blocks[0]), (format!("data:image/png;base64,{mark}0."), "image/png".into()));
    assert_eq!(url(&blocks[1]), (format!("data:application/pdf;base64,{mark}1."), "application/pdf".into()));
    assert!(
        blocks[2]
            .as_text()
            .is_some_and(|text| text.contains(&format!("\n{mark}2.\n")) && text.contains("text.bin"))
    );
    for (place, id) in [(3, "long"), (4, "zip"), (6, "big")] {
        assert_eq!(url(&blocks[place]).0, path(id), "it is named by the agent's own words");
    }
}

#[test]
fn a_file_missing_from_the_bucket_is_left_out_of_the_turn_and_its_row_stays() {
    let mut h = begun();
    h.finish("r1");
    h.host.pump(Input::Upload(File { media_type: "image/png".into(), ..file("ann", "f1") }));
    come(&mut h, "f1");
    send_file(&mut h, "ann", "r2", &path("f1"));
    h.seen();
    let turn = h.turn("r2");
    h.host.pump(Input::Answered { turn, answered: Answered::Refused(Refusal::NoFiles(vec!["f1".into()])) });
    let enclosed = h.seen().into_iter().find_map(|seen| match seen {
        Seen::Started { enclosed, .. } => Some(enclosed.files.len()),
        _ => None,
    });
    assert_eq!(enclosed, Some(0));
    h.finish("r2");
    assert!(removed(&mut h).is_empty(), "another bucket may be bound by mistake");
    assert_eq!(h.host.store.files.len(), 1);
}

#[test]
fn a_cursor_is_the_same_before_and_after_an_upload() {
    let mut h = begun();
    h.finish("r1");
    let cursor = cursor_of(&h.frames("ann"));
    upload(&mut h, "ann", "f1");
    h.expect_nothing("ann");
    h.resume("bob", &cursor);
    assert!(!h.is_open("bob") || h.host.store.files.len() == 1);
}

fn begun() -> Harness {
    let mut h = thread();
    h.join_with_token("ann", None);
    h.say("ann", "r1", "hello");
    h.frames("ann");
    h.seen();
    h
}

fn token(subject: &str) -> Identity {
    Identity { subject: Some(subject.into()), granted: None, may_create: true, expires_at: None, trace: None }
}

fn named(subject: &str, access: Access) -> Identity {
    Identity {
        subject: Some(subject.into()),
        granted: Some(access),
        may_create: false,
        expires_at: None,
        trace: None,
    }
}

fn path(id: &str) -> String {
    file_path(SESSION, id)
}

fn block(url: &str) -> Value {
    json!({ "type": "file", "mediaType": "application/x-said", "url": url })
}

fn file(uploader: &str, id: &str) -> File {
    File {
        id: id.into(),
        name: format!("{id}.bin"),
        media_type: "application/octet-stream".into(),
        size: 5,
        uploader: Some(uploader.into()),
        state: FileState::Coming,
        due: None,
    }
}

fn announce(h: &mut Harness, who: &str, id: &str) {
    h.host.pump(Input::Upload(file(who, id)));
}

/// Stores the bytes of an announced file in the bucket.
fn come(h: &mut Harness, id: &str) {
    if h.host.store.files.contains_key(id) {
        h.host.bucket.insert(id.into());
        h.host.pump(Input::Uploaded { id: id.into() });
    }
}

fn upload(h: &mut Harness, who: &str, id: &str) {
    announce(h, who, id);
    come(h, id);
}

fn send_file(h: &mut Harness, who: &str, request_id: &str, url: &str) {
    h.send(who, &json!({ "type": "message", "requestId": request_id, "content": [block(url)] }));
}

fn asked(h: &mut Harness, by: &Identity, id: &str) -> String {
    h.host.pump(Input::Deadline);
    match h.host.thread().unwrap().file(h.host.now, &h.host.store, by, id) {
        Ok(_) => "yes".into(),
        Err(Unserved::Denied(_)) => "no session".into(),
        Err(Unserved::Refused(error)) => error.code.as_str().to_owned(),
    }
}

fn may_have(h: &mut Harness, who: &str, id: &str) -> bool {
    asked(h, &token(who), id) == "yes"
}

/// Has the bucket delete everything that it is asked to.
fn removed(h: &mut Harness) -> Vec<Vec<String>> {
    h.host.pump(Input::Deadline);
    let mut removed = Vec::new();
    while let Some((ids, is_waited_for)) = h.host.removals.pop_front() {
        h.host.bucket.retain(|id| !ids.contains(id));
        if is_waited_for {
            h.host.pump(Input::FilesRemoved { ids: ids.clone() });
        }
        removed.push(ids);
    }
    removed
}
