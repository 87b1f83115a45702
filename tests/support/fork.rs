//! Makes a fork as `src/edge/forks.rs` and `src/session_do/forks.rs` do: pages go from the object of one session to
//! the object of another.

use std::collections::BTreeMap;

use bobbin::protocol::limits::{FILE_UNNAMED_MS, GUARD_MS};
use bobbin::protocol::{ErrorCode, Identity, Json, to_json};
use bobbin::pump::{Platform, Pump, Undone};
use bobbin::thread::store::{Commit, Records, Write};
use bobbin::thread::{
    Ask, Copied, Copying as Made, File, FileState, ForkExtent, ForkOrigin, ForkUnderway, Input, Taking,
    Thread, Wanted,
};

use super::Host;
use super::world::World;

/// A page on its way from one object to the other.
#[derive(Clone, Debug)]
pub struct Page {
    pub copied: Copied,
    pub is_first: bool,
    /// The sequence number before which the page ends.
    until: Option<u64>,
    title: Option<String>,
}

/// The outcome of one hop.
#[derive(Debug, PartialEq, Eq)]
pub enum Hop {
    /// More hops are needed.
    On,
    /// The session has begun as this fork.
    Done,
    Refused(ErrorCode),
    /// The outcome is unknown: the object failed, or it is dead.
    Failed,
}

/// One request for a fork, as the edge carries it out. Each hop is a request to one of the two objects.
#[derive(Clone, Debug)]
pub struct Copying {
    pub message_id: Option<String>,
    /// The caller's identity, as the first session knows it and as the second one does.
    pub by: (Identity, Identity),
    extent: Option<ForkExtent>,
    before: Option<u64>,
    page: Option<Page>,
    /// Whether the second session was asked last.
    is_asked: bool,
    /// Files whose bytes are on their way.
    coming: Vec<String>,
}

impl Copying {
    pub fn new(message_id: Option<String>, by: (Identity, Identity)) -> Self {
        Copying {
            message_id,
            by,
            extent: None,
            before: None,
            page: None,
            is_asked: false,
            coming: Vec::new(),
        }
    }

    /// Tells whether the next page is the first one of a fork that does not exist at all yet.
    pub fn is_first(&self) -> bool {
        self.extent.is_none()
    }

    /// Loses the page on its way to the second session.
    pub fn give_up(&mut self) {
        self.page = None;
    }

    /// Tells whether the first session is asked next.
    pub fn takes(&self) -> bool {
        self.is_asked
    }

    /// The page that is on its way to the second session.
    pub fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    pub fn origin(&self, from: &Host) -> ForkOrigin {
        let (from, by) = (from.session_id.clone(), self.by.1.subject.clone());
        ForkOrigin { from, message_id: self.message_id.clone(), by }
    }

    /// Asks the first session for a page.
    pub fn take(&mut self, from: &mut Host, to: &Host) -> Hop {
        let wanted = Wanted {
            message_id: self.message_id.clone(),
            extent: self.extent.clone(),
            before: self.before,
            to: to.session_id.clone(),
        };
        let page = match from.copied(&self.by.0, &wanted) {
            Some(Ok(page)) => page,
            Some(Err(hop)) => return hop,
            None => return Hop::Failed,
        };
        (self.page, self.is_asked) = (Some(page), false);
        Hop::On
    }

    /// Gives the second session the page, or asks it how much it has.
    pub fn give(&mut self, from: &Host, to: &mut Host) -> Hop {
        let origin = self.origin(from);
        if let Some(page) = self.page.as_ref().filter(|_| self.coming.is_empty()) {
            match to.expect_files(&self.by.1, &page.copied.files) {
                Some(Ok(coming)) if !coming.is_empty() => {
                    self.coming = coming;
                    return Hop::On;
                }
                Some(Ok(_)) => {}
                Some(Err(hop)) => return hop,
                None => return Hop::Failed,
            }
        }
        let (page, coming) = (self.page.take(), std::mem::take(&mut self.coming));
        (self.extent, self.before) = match to.fork(&self.by.1, &origin, page, (coming, &from.bucket)) {
            Some(Ok(Some(here))) => here,
            Some(Ok(None)) => return Hop::Done,
            Some(Err(hop)) => return hop,
            None => return Hop::Failed,
        };
        self.is_asked = true;
        Hop::On
    }
}

/// Forks a session without any failure.
pub fn forked(from: &mut Host, to: &mut Host, message_id: Option<&str>) -> Hop {
    let by = || Identity::anyone();
    let mut copying = Copying::new(message_id.map(str::to_owned), (by(), by()));
    loop {
        let hop = if copying.takes() { copying.take(from, to) } else { copying.give(from, to) };
        if hop != Hop::On {
            return hop;
        }
    }
}

type Here = (Option<ForkExtent>, Option<u64>);
type Bucket = std::collections::BTreeSet<String>;

fn undone(undone: Undone) -> Hop {
    match undone {
        Undone::Denied(bobbin::thread::Denied::NoSession) => Hop::Refused(ErrorCode::NotFound),
        Undone::Denied(bobbin::thread::Denied::Forbidden(_)) => Hop::Refused(ErrorCode::Forbidden),
        Undone::Refused(error) if error.retryable => Hop::Failed,
        Undone::Refused(error) => Hop::Refused(error.code.known().expect("a code of this version")),
        Undone::Broken(_) => Hop::Failed,
    }
}

impl Host {
    fn copied(&mut self, by: &Identity, wanted: &Wanted) -> Option<Result<Page, Hop>> {
        let mut answer = None;
        self.run(|pump| {
            let page = page_of(pump, by, wanted).map_err(undone);
            answer.insert(page).as_ref().map(drop).map_err(drop)
        });
        answer
    }

    /// Announces the files that the session lacks; each then arrives as an upload does.
    fn expect_files(&mut self, by: &Identity, files: &[File]) -> Option<Result<Vec<String>, Hop>> {
        let mut answer = None;
        self.run(|pump| {
            let expected = expect(pump, by, files);
            answer.insert(expected).as_ref().map(drop).map_err(drop)
        });
        answer
    }

    /// Takes a page, or tells how much is here. Does nothing once the session has begun as this fork.
    fn fork(
        &mut self,
        by: &Identity,
        origin: &ForkOrigin,
        page: Option<Page>,
        coming: (Vec<String>, &Bucket),
    ) -> Option<Result<Option<Here>, Hop>> {
        let mut answer = None;
        self.run(|pump| {
            let taken = take(pump, by, origin, page, coming);
            answer.insert(taken).as_ref().map(drop).map_err(drop)
        });
        answer
    }
}

fn page_of(pump: &mut Pump<World>, by: &Identity, wanted: &Wanted) -> Result<Page, Undone> {
    let thread = pump.thread()?;
    thread.permits_request(by, Ask::Read).map_err(Undone::Denied)?;
    let title = thread.session().and_then(|session| session.title.clone());
    let thread = pump.awake().expect("it is awake");
    let copied = thread.copied(&pump.platform().store, wanted).map_err(Undone::Refused)?;
    Ok(Page { copied, is_first: wanted.before.is_none(), until: wanted.before, title })
}

fn known(pump: &Pump<World>, origin: &ForkOrigin) -> Result<Option<Here>, Hop> {
    let is_it = pump.platform().store.origin.as_ref() == Some(origin);
    if is_it { Ok(None) } else { Err(Hop::Refused(ErrorCode::Conflict)) }
}

fn here(pump: &Pump<World>, origin: &ForkOrigin) -> Here {
    let now = pump.platform().now;
    let fork = pump.platform().store.fork.as_ref().filter(|(fork, _)| fork.is_of(origin, now));
    let lowest = fork.and_then(|(_, pages)| pages.keys().next().copied());
    (fork.map(|(fork, _)| fork.extent.clone()), lowest)
}

fn take(
    pump: &mut Pump<World>,
    by: &Identity,
    origin: &ForkOrigin,
    page: Option<Page>,
    (coming, bucket): (Vec<String>, &Bucket),
) -> Result<Option<Here>, Hop> {
    let failed = |_| Hop::Failed;
    if pump.thread().map_err(failed)?.session().is_some() {
        return known(pump, origin);
    }
    let Some(page) = page else { return Ok(Some(here(pump, origin))) };
    if pump.thread().map_err(failed)?.permits_request(by, Ask::Send).is_err() {
        return Err(Hop::Refused(ErrorCode::Forbidden));
    }
    for id in coming {
        let input = if bucket.contains(&id) {
            pump.platform_mut().bucket.insert(id.clone());
            Input::Uploaded { id }
        } else {
            Input::FileLost { id }
        };
        pump.input(input).map_err(failed)?;
    }
    if pump.thread().map_err(failed)?.session().is_some() {
        return known(pump, origin);
    }
    let since = pump.platform().now;
    let fork = ForkUnderway { of: origin.clone(), extent: page.copied.extent.clone(), since };
    let here_now = pump.platform().store.fork.as_ref();
    let here_now = here_now.and_then(|(fork, pages)| Some((fork, *pages.keys().next()?)));
    let taking = fork.taking(here_now, page.is_first, page.until);
    match taking {
        Taking::Joins | Taking::Begins => {}
        Taking::Yields => return Ok(Some(here(pump, origin))),
        Taking::Misses => return Err(Hop::Refused(ErrorCode::Conflict)),
    }
    if pump.thread().map_err(failed)?.report().alarm_at.is_none() {
        guard(pump, FILE_UNNAMED_MS)?;
    }
    keep(pump, fork, taking == Taking::Begins, &page)?;
    if page.copied.before.is_some() {
        return Ok(Some(here(pump, origin)));
    }
    guard(pump, GUARD_MS)?;
    let begun = begin(pump, origin, page.title);
    pump.wake_anew().map_err(failed)?;
    begun.map(|()| None)
}

fn guard(pump: &mut Pump<World>, wait_ms: u64) -> Result<(), Hop> {
    let at = pump.platform().now + wait_ms;
    pump.platform_mut().set_alarm(Some(at)).map_err(|_| Hop::Failed)
}

/// Commits rows of the fork, which belong to no thread yet.
fn keep(pump: &mut Pump<World>, fork: ForkUnderway, begins: bool, page: &Page) -> Result<(), Hop> {
    let stored = pump.platform_mut().apply(Commit(Vec::new()));
    let store = &mut pump.platform_mut().store;
    stored.map_err(|_| Hop::Failed)?;
    if begins {
        store.fork = Some((fork, BTreeMap::new()));
    }
    let Some((_, pages)) = &mut store.fork else { return Err(Hop::Failed) };
    pages.extend(page.copied.messages.iter().map(|(seq, message)| (*seq, to_json(message))));
    Ok(())
}

/// Begins the session, in one commit.
fn begin(pump: &mut Pump<World>, origin: &ForkOrigin, title: Option<String>) -> Result<(), Hop> {
    let (session_id, now) = (pump.platform().session_id.clone(), pump.platform().now);
    let thread: &Thread = pump.awake().ok_or(Hop::Failed)?;
    let mut made = Made::new(session_id, thread.epoch(), now);
    let mut records = Vec::new();
    for text in pump.platform().store.fork.iter().flat_map(|(_, pages)| pages.values()) {
        records.extend(made.take(&Json::parse(text).expect("JSON")));
    }
    records.extend(made.finish());
    let checkpoint = thread.begun_as(&made, origin.by.clone(), title);
    let is_here = |id: &&String| {
        let file = pump.platform().store.files.get(*id);
        file.is_some_and(|file| file.state == FileState::Here)
    };
    let named = made.files().iter().filter(is_here).cloned();
    let name = |id| Write::SetFile { id, state: FileState::Here, due: None };
    let writes = [Write::Create(checkpoint)].into_iter().chain(records.into_iter().map(Write::Append));
    let commit = Commit(writes.chain(named.map(name)).collect());
    let stored = pump.platform_mut().apply(commit);
    let store = &mut pump.platform_mut().store;
    if store.checkpoint.is_some() {
        (store.origin, store.fork) = (Some(origin.clone()), None);
    }
    stored.map_err(|_| Hop::Failed)
}

fn expect(pump: &mut Pump<World>, by: &Identity, files: &[File]) -> Result<Vec<String>, Hop> {
    let failed = |_| Hop::Failed;
    let thread = pump.thread().map_err(failed)?;
    if thread.session().is_some() || thread.permits_request(by, Ask::Send).is_err() {
        return Ok(Vec::new());
    }
    let mut coming = Vec::new();
    for file in files {
        let (id, now) = (file.id.clone(), pump.platform().now);
        let known = pump.platform().store.file(&id).map_err(|_| Hop::Failed)?;
        match known {
            Some(known) if !known.outlasts_fork(now) => {
                pump.input(Input::FileLost { id }).map_err(failed)?;
                return Err(Hop::Failed);
            }
            Some(known) if known.state == FileState::Here => continue,
            Some(_) => {}
            None => {
                let uploader = by.subject.clone();
                let (state, due) = (FileState::Coming, None);
                pump.input(Input::Upload(File { uploader, state, due, ..file.clone() })).map_err(failed)?;
            }
        }
        coming.push(id);
    }
    Ok(coming)
}
