//! Random walks with files: uploads that complete or break off, messages that name them, deletions, crashes
//! between any two outputs, a store and a bucket that fail, and days that pass.

use std::collections::BTreeSet;

use bobbin::protocol::{Block, Content, Identity, file_of, file_path};
use bobbin::thread::{Delivered, File, FileState, Input, PeerId, Request, Thread};
use serde_json::json;

use crate::harness::{finished, thread};
use crate::support::{Faults, Host, Random, Sudden};

const WALKS: u64 = 1_000;
const HOUR_MS: u64 = 3_600_000;
const WHO: [&str; 2] = ["ann", "bob"];

/// Bytes on their way to the bucket.
struct Coming {
    id: String,
    /// Whether the uploader still waits for the response: then the object is alive.
    is_waited_for: bool,
}

struct Walk {
    host: Host,
    random: Random,
    files: usize,
    coming: Vec<Coming>,
    peers: usize,
    trace: Vec<String>,
    named: u64,
}

#[test]
fn no_byte_is_forgotten_and_no_named_file_is_lost() {
    let mut named = 0;
    for seed in 0..WALKS {
        let host = thread().host;
        let mut walk = Walk {
            host,
            random: Random::new(seed),
            files: 0,
            coming: Vec::new(),
            peers: 0,
            trace: Vec::new(),
            named: 0,
        };
        let steps = 20 + walk.random.below(100);
        for _ in 0..steps {
            walk.step();
            walk.check(seed);
        }
        walk.settle(seed);
        named += walk.named;
    }
    assert!(named > WALKS, "only {named} messages named files");
}

impl Walk {
    fn step(&mut self) {
        let nth = self.random.below(16);
        match self.random.below(100) {
            0..20 => self.upload(),
            20..40 => self.come(nth),
            40..58 => self.name(nth),
            58..64 => self.finish_turns(),
            64..67 => drop(self.host.request(&token(WHO[nth % 2]), Request::Delete)),
            67..77 => self.remove(nth),
            77..80 => self.deliver(),
            80..84 => {
                let sockets_survive = self.random.chance(30);
                let after = u32::try_from(self.random.below(8)).unwrap();
                self.host.faults.sudden = Some((after, Sudden::Crash { sockets_survive }));
            }
            84..87 => {
                let after = u32::try_from(self.random.below(4)).unwrap();
                self.host.faults.writes = Some((after, 1, self.random.chance(50)));
            }
            87..89 => self.host.store.failing_reads.set(1),
            89..92 => drop(self.host.crash(false)),
            92..94 => self.host.evict(),
            94 => self.host.now -= self.random.between(1, 60_000),
            95..98 => self.pass(self.random.clone().between(1, 60_000)),
            _ => self.pass(self.random.clone().between(HOUR_MS, 30 * HOUR_MS)),
        }
        self.trace.push(format!("{:?}", self.host.seen.drain(..).collect::<Vec<_>>()));
    }

    fn upload(&mut self) {
        self.files += 1;
        let (id, who) = (format!("f{}", self.files), WHO[self.random.below(2)]);
        let file = File {
            id: id.clone(),
            name: "a".into(),
            media_type: "image/png".into(),
            size: 1,
            uploader: None,
            state: FileState::Coming,
            due: None,
        };
        let _ = self.host.request(&token(who), Request::Upload(file));
        if self.host.store.files.contains_key(&id) {
            self.coming.push(Coming { id, is_waited_for: self.host.thread().is_some() });
        }
    }

    /// Ends an upload: its bytes have come, or it has failed.
    fn come(&mut self, nth: usize) {
        self.note_crash();
        if self.coming.is_empty() {
            return;
        }
        let Coming { id, is_waited_for } = self.coming.swap_remove(nth % self.coming.len());
        let has_come = self.random.chance(70);
        if has_come {
            self.host.bucket.insert(id.clone());
        }
        if is_waited_for {
            self.host.pump(if has_come { Input::Uploaded { id } } else { Input::FileLost { id } });
        }
    }

    /// Nobody waits for an upload any more once the object has died.
    fn note_crash(&mut self) {
        if self.host.thread().is_none() {
            self.coming.iter_mut().for_each(|coming| coming.is_waited_for = false);
        }
    }

    fn name(&mut self, nth: usize) {
        self.peers += 1;
        let mut who = WHO[self.random.below(2)].to_owned();
        // Mostly files that may be named.
        let here = self.host.store.files.values().filter(|file| file.state == FileState::Here);
        let here: Vec<&File> = here.collect();
        let mut ids = vec![format!("f{}", self.files.saturating_sub(nth))];
        if let Some(file) = here.get(nth % here.len().max(1)).filter(|_| nth < 13) {
            ids = vec![file.id.clone()];
            who = file.uploader.clone().unwrap_or(who);
            if nth.is_multiple_of(4) {
                ids.extend(here.first().map(|other| other.id.clone()));
            }
        }
        let peer: PeerId = format!("peer{}", self.peers).into();
        if !self.host.connect_as(&peer, token(&who), None) {
            return;
        }
        let block = |id| json!({ "type": "file", "mediaType": "image/png", "url": file_path("s1", id) });
        let content: Vec<_> = ids.iter().map(|id| block(id)).collect();
        let frame = json!({ "type": "message", "requestId": format!("r{}", self.peers), "content": content });
        let before = self.host.store.records.len();
        self.host.receive(&peer, &frame.to_string());
        self.named += u64::from(self.host.store.records.len() > before);
        if self.random.chance(80) {
            self.host.disconnect(&peer);
        }
    }

    fn finish_turns(&mut self) {
        while let Some(turn) = self.host.agents.first().copied() {
            self.host.agent(turn, vec![finished()]);
        }
    }

    fn remove(&mut self, nth: usize) {
        if self.host.removals.is_empty() {
            return;
        }
        let nth = nth % self.host.removals.len();
        let (ids, is_waited_for) = self.host.removals.remove(nth).unwrap();
        let is_taken = self.random.chance(60);
        if is_taken {
            self.host.bucket.retain(|id| !ids.contains(id));
        }
        // Sometimes nobody ever hears of it.
        if is_waited_for && self.random.chance(80) {
            self.host.pump(if is_taken { Input::FilesRemoved { ids } } else { Input::FilesNotRemoved });
        }
    }

    fn deliver(&mut self) {
        while let Some((delivery, is_waited_for)) = self.host.deliveries.pop_front() {
            if is_waited_for {
                self.host.pump(Input::Delivered(Delivered::from(&delivery)));
            }
        }
    }

    /// Lets time pass, with the alarm when it is due. No upload takes longer than an hour.
    fn pass(&mut self, ms: u64) {
        self.random.next();
        if ms >= HOUR_MS {
            while !self.coming.is_empty() {
                self.come(0);
            }
        }
        let until = self.host.now + ms;
        for _ in 0..50 {
            let next = [self.host.timer(), self.host.alarm].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.host.now = self.host.now.max(at);
            if self.host.timer().is_some_and(|at| at <= self.host.now) {
                self.host.fire_timer();
            } else {
                self.host.pump(Input::Alarm);
            }
        }
        self.host.now = self.host.now.max(until);
    }

    /// Returns the files that messages of the log name.
    fn named(&self) -> BTreeSet<String> {
        let contents = self.host.store.records.values().map(|record| &record.content);
        let blocks = contents
            .filter_map(|content| if let Content::Blocks(blocks) = content { Some(blocks) } else { None });
        let file = |block: &Block| {
            if let Block::File { url, .. } = block { Some(file_of(url)?.1.to_owned()) } else { None }
        };
        blocks.flatten().filter_map(file).collect()
    }

    fn check(&self, seed: u64) {
        let store = &self.host.store;
        let fail = |what: &str| panic!("seed {seed}: {what}\n{}", self.trace.join("\n"));
        for id in self.named() {
            let is_kept =
                store.files.get(&id).is_some_and(|file| file.state == FileState::Here && file.due.is_none());
            if !is_kept || !self.host.bucket.contains(&id) {
                fail(&format!("{id} is named, and lost: {:?}", store.files.get(&id)));
            }
        }
        if let Some(id) = self.host.bucket.iter().find(|id| !store.files.contains_key(*id)) {
            fail(&format!("nobody knows of the bytes of {id}"));
        }
        let is_owed = store.files.values().any(|file| file.due.is_some());
        let is_asleep = self.host.alarm.is_none() && self.host.faults.sudden.is_none();
        if is_owed && is_asleep {
            fail("files are to go, and no alarm is set");
        }
    }

    /// Ends the walk without further failures.
    fn settle(&mut self, seed: u64) {
        self.host.faults = Faults::default();
        self.host.store.failing_reads.set(0);
        self.rest();
        self.check(seed);
        let left: Vec<String> = self.host.bucket.iter().cloned().collect();
        assert_eq!(
            left,
            self.named().into_iter().collect::<Vec<_>>(),
            "seed {seed}\n{}",
            self.trace.join("\n")
        );
        assert_eq!(self.host.store.files.len(), left.len(), "seed {seed}");
        assert_eq!(self.host.alarm, None, "seed {seed}");
        self.host.pump(Input::Delete);
        self.rest();
        assert!(self.host.bucket.is_empty() && self.host.store.files.is_empty(), "seed {seed}");
        assert_eq!(self.host.alarm, None, "seed {seed}");
    }

    fn rest(&mut self) {
        for _ in 0..8 {
            self.pass(12 * HOUR_MS);
            self.host.pump(Input::Deadline);
            for _ in 0..50 {
                self.finish_turns();
                self.deliver();
                while let Some((ids, is_waited_for)) = self.host.removals.pop_front() {
                    self.host.bucket.retain(|id| !ids.contains(id));
                    if is_waited_for {
                        self.host.pump(Input::FilesRemoved { ids });
                    }
                }
            }
        }
        assert!(self.host.thread().and_then(Thread::poll_deadline).is_none());
    }
}

fn token(subject: &str) -> Identity {
    Identity { subject: Some(subject.into()), granted: None, may_create: true, expires_at: None, trace: None }
}
