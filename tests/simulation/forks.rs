//! Forks of the thread: who asks for them, how their pages travel, and what they must contain. The object of each
//! fork is another pump of the same kind.

use std::collections::{BTreeMap, BTreeSet};

use bobbin::agent::{AgentEvent, Finished};
use bobbin::dialect::Dialect;
use bobbin::protocol::limits::FILE_UPLOAD_MS;
use bobbin::protocol::{Block, Content, ErrorCode, Identity, Millis, Status, file_of};
use bobbin::thread::store::{Record, RecordKind};
use bobbin::thread::{
    Config, Delivered, File, FileState, ForkOrigin, Input, PeerId, Request, Thread, TurnId,
};
use serde_json::{Value, json};

use super::Check;
use super::people::{Begun, Person, Role};
use super::pieces::json_of;
use super::truth::Truth;
use super::view::text_of;
use super::world::{World, nth_of};
use crate::support::{Copying, Databases, Faults, Hop, Host, Seen, Sudden};

/// Events of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkDoes {
    /// Somebody asks for the fork, mostly with an earlier request, as if its answer had been lost.
    Ask {
        client: usize,
    },
    /// One of the two objects is asked, and answers. A page has few messages, as if they were large.
    Hop {
        page_max: usize,
    },
    Crash {
        after_outputs: u32,
    },
    FailWrite {
        after: u32,
        applied: bool,
    },
    Evict,
}

/// A session that is to become a fork.
pub struct Fork {
    host: Host,
    databases: Databases,
    /// The last request, and who made it.
    asked: Option<(Option<String>, Person)>,
    /// Each with when it was made: none takes longer than an upload may.
    requests: Vec<(Copying, Person, Millis)>,
    /// The expected content when the first page was taken.
    offered: Vec<(ForkOrigin, Offer)>,
    has_begun: bool,
}

/// The expected content of a fork.
#[derive(Clone, Debug, PartialEq)]
struct Offer {
    /// The messages, each with its place among the records of the truth and as it was read by then.
    records: Vec<(usize, Vec<Record>)>,
    /// How often the thread had been deleted.
    life: usize,
    /// The turn of each question, and of each answer that nobody asked for, with the copied turn before it.
    parents: Vec<(TurnId, Option<TurnId>)>,
    /// The turn that each answer begins in the fork, apart from answers that nobody asked for.
    questions: BTreeMap<TurnId, TurnId>,
    /// It ends with a question whose answer is left out.
    ends_bare: bool,
}

const ROUNDS_MAX: usize = 400;
/// More than there are files.
const TRIES_MAX: usize = 10;

impl Fork {
    pub fn new(nth: usize, like: &Host) -> Self {
        let (name, seed) = (format!("fork{nth}"), nth as u64 + 1);
        let Config { databases, retention_ms, concurrent_turns, .. } = like.config;
        let config = Config { databases, retention_ms, concurrent_turns, ..Config::default() };
        Fork {
            host: Host::of(&name, config, seed, None),
            databases: Databases::default(),
            asked: None,
            requests: Vec::new(),
            offered: Vec::new(),
            has_begun: false,
        }
    }
}

/// The identity of a person in a session that their token does not name.
fn elsewhere(person: Person) -> Identity {
    let role = if person.role == Role::Anyone || person.role == Role::Plain {
        person.role
    } else {
        Role::NamedElsewhere
    };
    Person { role, ..person }.identity(None)
}

impl Truth {
    /// The expected content of a fork that is made now; `None` if there is no such message.
    fn offer(&self, message_id: Option<&str>) -> Option<Offer> {
        let (last, with_answer) = match message_id {
            Some(id) => self.turn_with(id)?,
            None => (self.paths.tail()?, true),
        };
        let tail = if with_answer { Some(last) } else { self.paths.parent_of(last) };
        let mut over = self.paths.turns_to(tail);
        over.retain(|turn| !self.is_open(*turn));
        let ends_bare = !with_answer && !self.is_open(last);
        let mut asked = self.paths.questions_of(&over);
        asked.extend(ends_bare.then_some(last));
        let is_copied = |record: &Record| {
            if record.is_end() { over.contains(&record.turn) } else { asked.contains(&record.turn) }
        };
        let copied = (0..self.records.len()).filter(|index| is_copied(&self.records[*index]));
        let records = copied.map(|index| (index, self.versions(index).cloned().collect())).collect();
        let turns = over.iter().copied().chain(ends_bare.then_some(last));
        let parents = turns.map(|turn| (turn, self.parent_among(turn, &over))).collect();
        let questions =
            over.iter().filter_map(|turn| Some((*turn, self.paths.question_of(*turn)?))).collect();
        Some(Offer { records, life: self.life, parents, questions, ends_bare })
    }

    /// The last turn before this one that is copied as well.
    fn parent_among(&self, turn: TurnId, copied: &BTreeSet<TurnId>) -> Option<TurnId> {
        let mut before = self.paths.parent_of(turn);
        while let Some(turn) = before.filter(|turn| !copied.contains(turn)) {
            before = self.paths.parent_of(turn);
        }
        before
    }
}

impl World {
    pub fn fork(&mut self, fork: usize, nth: usize, does: ForkDoes) -> Check {
        let now = self.host.now;
        let Some(it) = self.forks.get_mut(fork) else { return Ok(()) };
        it.host.now = now;
        match does {
            ForkDoes::Ask { client } => {
                self.ask_for_fork(fork, client, nth);
                Ok(())
            }
            ForkDoes::Hop { page_max } => self.hop(fork, nth, Some(page_max)).map(drop),
            ForkDoes::Crash { after_outputs } => {
                let crash = Sudden::Crash { sockets_survive: false };
                match after_outputs.checked_sub(1) {
                    Some(after) => it.host.faults.sudden = Some((after, crash)),
                    None => drop(it.host.crash(false)),
                }
                Ok(())
            }
            ForkDoes::FailWrite { after, applied } => {
                it.host.faults.writes = Some((after, 1, applied));
                Ok(())
            }
            ForkDoes::Evict => {
                if it.host.may_be_evicted() {
                    it.host.evict();
                }
                Ok(())
            }
        }
    }

    fn ask_for_fork(&mut self, fork: usize, client: usize, nth: usize) {
        let of = nth_of(&self.truth.records, nth).map(|record| record.message_id.clone());
        let of = if nth.is_multiple_of(13) {
            Some("msg_1_1".into())
        } else {
            of.filter(|_| !nth.is_multiple_of(3))
        };
        let new = (of, self.clients[client].person);
        let fork = &mut self.forks[fork];
        let (of, person) = fork.asked.clone().filter(|_| !nth.is_multiple_of(4)).unwrap_or(new);
        fork.asked = Some((of.clone(), person));
        let by = (person.identity(None), elsewhere(person));
        fork.requests.push((Copying::new(of, by), person, self.host.now));
        self.truth.stats.forks += 1;
    }

    /// Moves one request for a fork one hop further. Returns the outcome, if there is one.
    fn hop(&mut self, fork: usize, nth: usize, page_max: Option<usize>) -> Check<Option<Hop>> {
        let (it, now) = (&mut self.forks[fork], self.host.now);
        it.requests.retain(|(_, _, since)| now < since.saturating_add(FILE_UPLOAD_MS));
        let Some(nth) = nth.checked_rem(it.requests.len()) else { return Ok(None) };
        let (mut copying, person, since) = it.requests.swap_remove(nth);
        let is_taken = copying.takes();
        let hop = if is_taken {
            self.take_page(fork, &mut copying, person, page_max)?
        } else {
            copying.give(&self.host, &mut self.forks[fork].host)
        };
        self.note(|| format!("  fork {fork} of {:?}, by {person:?}: {hop:?}", copying.message_id));
        self.check_begun(fork)?;
        let it = &mut self.forks[fork];
        if !is_taken {
            let origin = copying.origin(&self.host);
            let is_it = it.host.store.origin.as_ref() == Some(&origin);
            let is_right = match &hop {
                Hop::Done => is_it,
                Hop::Refused(ErrorCode::Conflict) => !is_it,
                Hop::Refused(code) => *code == ErrorCode::Forbidden && !may_begin(person),
                Hop::On => it.host.store.checkpoint.is_none(),
                // It is asked for again.
                Hop::Failed => {
                    self.is_faulty || it.host.store.files.values().any(|file| file.state == FileState::Gone)
                }
            };
            if !is_right {
                return Err(format!("fork {fork}, {:?}, answers {hop:?}", it.host.store.origin));
            }
        }
        if hop == Hop::On {
            self.forks[fork].requests.push((copying, person, since));
        }
        Ok(Some(hop))
    }

    /// Takes a page of the thread. It must be given to everybody who may read the thread, and must change nothing.
    fn take_page(
        &mut self,
        fork: usize,
        copying: &mut Copying,
        person: Person,
        page_max: Option<usize>,
    ) -> Check<Hop> {
        let is_first = copying.is_first();
        let start = self.start();
        self.host.store.page_max.set(page_max);
        let hop = copying.take(&mut self.host, &self.forks[fork].host);
        self.host.store.page_max.set(None);
        let course = self.course(start);
        if start.is_awake() && course.is_smooth && !self.host.seen.is_empty() {
            return Err(format!("a fork is taken of the thread, and it does {:?}", self.host.seen));
        }
        self.observe()?;
        if !course.is_smooth {
            copying.give_up();
            return Ok(Hop::Failed);
        }
        let offer = self.truth.offer(copying.message_id.as_deref());
        let may_read = self.truth.begun != Begun::No && person.access(&self.truth.begun).is_some();
        let expected = match &offer {
            _ if !may_read => Hop::Refused(ErrorCode::NotFound),
            // What is deleted in the middle is gone, and so is what was asked for.
            _ if !is_first => {
                return match hop {
                    Hop::On | Hop::Refused(ErrorCode::NotFound) => Ok(hop),
                    hop => Err(format!("a later page is answered with {hop:?}")),
                };
            }
            None => Hop::Refused(ErrorCode::NotFound),
            Some(offer) if offer.records.is_empty() => Hop::Refused(ErrorCode::Conflict),
            Some(_) => Hop::On,
        };
        if hop != expected {
            return Err(format!(
                "a fork at {:?} meets with {hop:?}, not with {expected:?}",
                copying.message_id
            ));
        }
        if let (Hop::On, Some(offer)) = (&hop, offer) {
            let origin = copying.origin(&self.host);
            self.forks[fork].offered.push((origin, offer));
        }
        Ok(hop)
    }

    /// Checks that the fork does not exist before it is complete, and then has exactly the expected content.
    fn check_begun(&mut self, fork: usize) -> Check {
        let it = &mut self.forks[fork];
        if it.has_begun || it.host.store.checkpoint.is_none() {
            return if it.has_begun || it.host.store.records.is_empty() {
                Ok(())
            } else {
                Err("half a fork".into())
            };
        }
        it.has_begun = true;
        self.truth.stats.forked += 1;
        let it = &self.forks[fork];
        let origin = it.host.store.origin.as_ref();
        let offered = it.offered.iter().filter(|(of, _)| Some(of) == origin).map(|(_, offer)| offer);
        let mut why = "it was never offered".to_owned();
        for offer in offered {
            match self.check_copy(&it.host, offer) {
                Ok(()) => return Ok(()),
                Err(differs) => why = differs,
            }
        }
        Err(format!("fork {fork} of {origin:?} holds something else: {why}"))
    }

    fn check_copy(&self, host: &Host, offer: &Offer) -> Check {
        let copy: Vec<&Record> = host.store.records.values().filter(|record| record.is_message()).collect();
        let count = offer.records.len() + usize::from(offer.ends_bare);
        if copy.len() != count {
            return Err(format!("{} messages, and not {count}: {copy:?}", copy.len()));
        }
        for ((index, versions), record) in offer.records.iter().zip(&copy) {
            let found = shown(record, &host.session_id);
            let is_it = |version: &Record| shown(version, &self.host.session_id) == found;
            // It may have become unreadable before its page was taken.
            let since = self.truth.versions(*index).filter(|_| offer.life == self.truth.life);
            if !versions.iter().chain(since).any(is_it) {
                return Err(format!("{found} where the thread has {versions:?}"));
            }
        }
        if offer.ends_bare {
            let last = copy[copy.len() - 1].message(0);
            if last.status.known() != Some(Status::Cancelled) || last.content != Content::default() {
                return Err(format!("the question that it ends with is answered by {last:?}"));
            }
        }
        Self::check_parents(offer, &copy, host)?;
        Self::check_session(host, &copy)?;
        self.check_files(host, &copy)
    }

    /// Checks that each turn continues from the same turn as in the source.
    fn check_parents(offer: &Offer, copy: &[&Record], host: &Host) -> Check {
        // A known gap: an answer that nobody asked for, and that was queued, follows in the copy what it stands behind.
        let of = |place: usize| &offer.records[place].1[0];
        let is_late = |place: usize| {
            let is_appended = !offer.questions.contains_key(&of(place).turn) && of(place).is_end();
            is_appended && (0..place).any(|before| of(before).turn > of(place).turn)
        };
        if (0..offer.records.len()).any(is_late) {
            return Ok(());
        }
        let mut turns = BTreeMap::new();
        for ((_, versions), record) in offer.records.iter().zip(copy) {
            let of = &versions[0];
            if of.is_end() || !offer.questions.contains_key(&of.turn) {
                turns.insert(of.turn, record.turn);
            }
        }
        for (turn, parent) in &offer.parents {
            let Some(begun) = turns.get(turn).and_then(|turn| host.store.records.get(turn)) else {
                return Err(format!("turn {turn} begins nowhere"));
            };
            let (RecordKind::Question { parent: copied, .. } | RecordKind::Append { parent: copied, .. }) =
                &begun.kind
            else {
                return Err(format!("a turn begins with {begun:?}"));
            };
            let wanted = parent.and_then(|parent| turns.get(&parent).copied());
            if *copied != wanted {
                return Err(format!("turn {turn} follows {copied:?}, and not {wanted:?}"));
            }
        }
        Ok(())
    }

    fn check_session(host: &Host, copy: &[&Record]) -> Check {
        let Some(checkpoint) = &host.store.checkpoint else { return Err("no session".into()) };
        let (session, origin) = (&checkpoint.session, host.store.origin.as_ref());
        let tokens = copy.iter().filter_map(|record| record.message(0).tokens_used).sum::<u64>();
        let owner = origin.and_then(|origin| origin.by.clone());
        if (session.message_count, session.total_tokens) != (copy.len() as u64, tokens)
            || session.owner != owner
        {
            return Err(format!("{} messages with {tokens} tokens of {owner:?} are {session:?}", copy.len()));
        }
        Ok(())
    }

    /// Checks that the files of the fork's messages exist for as long as the fork does. A source that was deleted
    /// while its messages were on their way has no files to give.
    fn check_files(&self, host: &Host, copy: &[&Record]) -> Check {
        for id in copy.iter().flat_map(|record| files_of(&record.content)) {
            let file = host.store.files.get(&id);
            let is_kept = file.is_some_and(|file| file.state == FileState::Here && file.due.is_none());
            let is_copied = is_kept && host.bucket.contains(&id);
            if !is_copied && self.host.bucket.contains(&id) {
                return Err(format!("the file {id} is {file:?}"));
            }
        }
        Ok(())
    }

    /// Repeats every request for a fork until it is answered, and then chats in each fork.
    pub fn settle_forks(&mut self) -> Check {
        for fork in 0..self.forks.len() {
            self.forks[fork].host.faults = Faults::default();
            self.forks[fork].host.now = self.host.now;
            self.note(|| format!("settling fork {fork}"));
            while self.hop(fork, 0, None)?.is_some() {}
            // What was copied long ago is gone by now.
            self.forks[fork].pass();
            if let Some((of, person)) = self.forks[fork].asked.clone() {
                let mut last = self.ask_to_the_end(fork, of.clone(), person)?;
                // What is old goes first, and then comes anew.
                for _ in 0..TRIES_MAX {
                    if last != Some(Hop::Failed) {
                        break;
                    }
                    self.forks[fork].pass();
                    last = self.ask_to_the_end(fork, of.clone(), person)?;
                }
                let may = may_begin(person) && person.access(&self.truth.begun).is_some();
                // Pages may be there of what has been deleted since.
                let under_way = self.forks[fork].host.store.fork.as_ref();
                let is_gone = under_way
                    .is_some_and(|(fork, _)| !fork.extent.through.starts_with(&self.truth.id_prefix));
                let is_new = !self.forks[fork].has_begun && !is_gone;
                let offer = self.truth.offer(of.as_deref()).filter(|offer| !offer.records.is_empty());
                if is_new && may && offer.is_some() && self.truth.begun != Begun::No {
                    return Err(format!("a fork that nothing keeps back comes to {last:?}"));
                }
            }
            if self.forks[fork].has_begun {
                self.forks[fork].talk().map_err(|why| format!("fork {fork}: {why}"))?;
            }
        }
        Ok(())
    }

    fn ask_to_the_end(&mut self, fork: usize, of: Option<String>, person: Person) -> Check<Option<Hop>> {
        let by = (person.identity(None), elsewhere(person));
        self.forks[fork].requests.push((Copying::new(of, by), person, self.host.now));
        let mut last = None;
        while let Some(hop) = self.hop(fork, 0, None)? {
            last = Some(hop);
        }
        Ok(last)
    }

    /// Uploads a file and sends a message that names it.
    pub fn say_file(&mut self, id: usize, nth: usize) -> Check {
        let person = self.clients[id].person;
        if self.truth.begun == Begun::No {
            return Ok(());
        }
        let name = format!("file{}", self.said.len());
        let file = File {
            id: name.clone(),
            name: "a".into(),
            media_type: "image/png".into(),
            size: 1,
            uploader: None,
            state: FileState::Coming,
            due: None,
        };
        let _ = self.host.request(&person.identity(None), Request::Upload(file));
        self.observe()?;
        if self.host.store.files.contains_key(&name) {
            self.host.bucket.insert(name.clone());
            self.host.pump(Input::Uploaded { id: name.clone() });
            self.observe()?;
        }
        // Some name one that was named before.
        let files: Vec<&String> = self.host.store.files.keys().collect();
        let name = nth_of(&files, nth).filter(|_| nth.is_multiple_of(3)).map_or(name, |id| (*id).clone());
        let url = format!("/sessions/{}/files/{name}", self.host.session_id);
        let content = json!([{ "type": "text", "text": "look" }, { "type": "file", "mediaType": "image/png", "url": url }]);
        let request_id = format!("c{id}-f{}", self.said.len());
        let frame = json!({ "type": "message", "requestId": request_id, "content": content });
        self.said.push(frame.clone());
        self.clients[id].pending.insert(request_id, frame.clone());
        self.send(id, Some(frame));
        Ok(())
    }

    /// Tells whether the sender may name the files in this content.
    pub fn may_name(&self, subject: Option<&str>, content: Option<&Content>) -> bool {
        content.is_none_or(|content| {
            files_of(content).iter().all(|id| {
                let is_for = |file: &File| {
                    let is_theirs = file.uploader.as_deref() == subject;
                    file.state == FileState::Here
                        && file.due.is_none_or(|due| is_theirs && due > self.host.now)
                };
                self.host.store.files.get(id).is_some_and(is_for)
            })
        })
    }

    /// Deletes the files that the bucket is to delete.
    pub fn remove_files(&mut self) -> Check {
        while let Some((ids, is_waited_for)) = self.host.removals.pop_front() {
            self.host.bucket.retain(|id| !ids.contains(id));
            if is_waited_for {
                self.host.pump(Input::FilesRemoved { ids });
            }
            self.observe()?;
        }
        Ok(())
    }
}

fn may_begin(person: Person) -> bool {
    elsewhere(person).may_create || person.role == Role::Anyone
}

/// A message as it is shown, without the fields that depend on the session.
fn shown(record: &Record, session_id: &str) -> Value {
    let mut message = json_of(&record.message(0));
    let is_of_turn = message["role"] == "assistant"
        && !matches!(record.kind, RecordKind::Answer { is_appended: true, .. });
    let Some(fields) = message.as_object_mut() else { return message };
    for name in ["id", "cursor", "parentId", "versions"] {
        fields.remove(name);
    }
    if is_of_turn {
        fields.remove("requestId");
    }
    let own = format!("/sessions/{session_id}/files/");
    for block in message["content"].as_array_mut().into_iter().flatten() {
        if block["type"] == "file" {
            block["url"] = json!(text_of(block, "url").replace(&own, "/"));
        }
    }
    message
}

fn files_of(content: &Content) -> Vec<String> {
    let Content::Blocks(blocks) = content else { return Vec::new() };
    let file = |block: &Block| {
        if let Block::File { url, .. } = block { Some(file_of(url)?.1.to_owned()) } else { None }
    };
    blocks.iter().filter_map(file).collect()
}

impl Fork {
    /// The owner sends a message, it is answered, and D1 gets all of it.
    fn talk(&mut self) -> Check {
        let owner = self.host.store.origin.as_ref().and_then(|origin| origin.by.clone());
        let identity = owner.map_or_else(Identity::anyone, |subject| Identity {
            subject: Some(subject),
            granted: None,
            may_create: true,
            expires_at: None,
            trace: None,
        });
        self.rest()?;
        let before = self.messages().count();
        let peer: PeerId = "owner".into();
        if !self.host.connect_in(Dialect::Native, &peer, identity, None) {
            return Err("its owner is not let in".into());
        }
        let snapshot = self.frames(&peer).into_iter().find(|frame| frame["type"] == "snapshot");
        let held = snapshot.as_ref().and_then(|frame| frame["messages"].as_array()).map_or(0, Vec::len);
        if held == 0 || held > before {
            return Err(format!("its owner is shown {snapshot:?}"));
        }
        let words = json!({ "type": "message", "requestId": "after-the-fork", "content": "go on" });
        self.host.seen.clear();
        self.host.receive(&peer, &words.to_string());
        self.check_asked()?;
        self.rest()?;
        let last = self.frames(&peer).into_iter().rfind(|frame| frame["type"] == "final");
        if last.as_ref().is_none_or(|last| last["response"]["content"] != "gone on") {
            return Err(format!("its owner is answered with {last:?}"));
        }
        if self.messages().count() != before + 2 {
            return Err("two messages more are not two more".into());
        }
        self.check_sleep()
    }

    /// Fires the fork's alarm until it is at rest, or has nothing to do before its time.
    fn pass(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.remove_files();
            if self.host.alarm.is_none_or(|at| at > self.host.now) {
                return;
            }
            self.host.pump(Input::Alarm);
        }
    }

    fn remove_files(&mut self) {
        while let Some((ids, is_waited_for)) = self.host.removals.pop_front() {
            self.host.bucket.retain(|id| !ids.contains(id));
            if is_waited_for {
                self.host.pump(Input::FilesRemoved { ids });
            }
        }
    }

    fn messages(&self) -> impl Iterator<Item = &Record> {
        self.host.store.records.values().filter(|record| record.is_message())
    }

    fn frames(&mut self, peer: &PeerId) -> Vec<Value> {
        let down = self.host.links.get_mut(peer).map(|link| std::mem::take(&mut link.down));
        down.into_iter().flatten().map(|frame| frame.json().clone()).collect()
    }

    /// Checks that the agent is given the copied messages and the question, but no turns that failed before anything
    /// was said.
    fn check_asked(&self) -> Check {
        let asked = self.host.seen.iter().find_map(|seen| match seen {
            Seen::Started { turn, request, .. } => Some((*turn, request)),
            _ => None,
        });
        let Some((turn, asked)) = asked else { return Err("no agent is asked".into()) };
        // Nobody is told what cannot be read.
        if self.messages().any(|record| !record.is_end() && record.message(0).error.is_some()) {
            return Ok(());
        }
        let mut wanted: Vec<&str> = Vec::new();
        let ends = self.messages().filter(|record| record.is_end() && !record.is_bare_failure());
        let mut ends: Vec<&Record> = ends.collect();
        ends.sort_by_key(|record| record.turn);
        for end in ends {
            let question = end.question().and_then(|question| self.host.store.records.get(&question));
            // A history begins with a question.
            if question.is_some() || !wanted.is_empty() {
                wanted.extend(question.map(|question| question.message_id.as_str()));
                wanted.push(&end.message_id);
            }
        }
        wanted.extend(self.host.store.records.get(&turn).map(|own| own.message_id.as_str()));
        let told: Vec<&str> = asked.messages.iter().map(|message| message.id.as_str()).collect();
        let is_cut = told.len() > 50;
        if told == wanted || (is_cut && wanted.ends_with(&told)) {
            return Ok(());
        }
        Err(format!("its agent is told {told:?} where it holds {wanted:?}"))
    }

    /// Lets agents, D1, timers and the alarm do all their work.
    fn rest(&mut self) -> Check {
        for _ in 0..ROUNDS_MAX {
            while let Some(turn) = self.host.agents.first().copied() {
                let finished = Finished { tokens_used: 7, ..Finished::default() };
                self.host
                    .agent(turn, vec![AgentEvent::Text("gone on".into()), AgentEvent::Finished(finished)]);
            }
            while let Some((delivery, is_waited_for)) = self.host.deliveries.pop_front() {
                let found = self.databases.apply(&delivery);
                if is_waited_for {
                    self.host.pump(Input::Delivered(Delivered::new(&delivery, found)));
                }
            }
            self.remove_files();
            let retention_ms = self.host.config.retention_ms;
            let alarm =
                self.host.alarm.filter(|at| retention_ms == 0 || *at < self.host.now + retention_ms / 2);
            let Some(next) = [self.host.timer(), alarm].into_iter().flatten().min() else {
                return self.check_indexed();
            };
            self.host.now = self.host.now.max(next);
            if self.host.timer().is_some_and(|at| at <= next) {
                self.host.fire_timer();
            } else {
                self.host.pump(Input::Alarm);
            }
        }
        Err("it never comes to rest".into())
    }

    /// Checks that D1 has all messages of the fork.
    fn check_indexed(&self) -> Check {
        let held = self.databases.held();
        let count = self.messages().count();
        let session = held.session.as_ref().map(|(_, _, session)| session.message_count);
        if held.messages.len() != count || session != Some(count as u64) {
            return Err(format!("D1 has {} messages of {count}, and says {session:?}", held.messages.len()));
        }
        Ok(())
    }

    /// Whoever is woken from rest has nothing to do.
    fn check_sleep(&mut self) -> Check {
        self.host.evict();
        self.host.seen.clear();
        self.host.fire_timer();
        let is_said = |seen: &&Seen| !matches!(seen, Seen::Woken { .. });
        match self.host.seen.iter().find(is_said) {
            Some(seen) => Err(format!("woken from rest, it comes out with {seen:?}")),
            None if self.host.thread().is_some_and(|thread| Thread::poll_deadline(thread).is_some()) => {
                Err("it has something to do".into())
            }
            None => Ok(()),
        }
    }
}
