//! The steps of a run. A step that does not apply does nothing, so any step may be left out.

use bobbin::agent::Remedy;

use super::forks::ForkDoes;
use super::tabs::TabDoes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Connect {
        client: usize,
        with: With,
        /// How long its token is valid; `None` for ever.
        token_ms: Option<u64>,
    },
    Drop {
        client: usize,
    },
    Say {
        client: usize,
        shape: usize,
    },
    /// Sends the oldest unanswered message again.
    Repeat {
        client: usize,
    },
    /// A message of another client, word for word.
    Copy {
        client: usize,
        nth: usize,
    },
    /// A known `requestId` with other words.
    Clash {
        client: usize,
        nth: usize,
    },
    /// A new version of a message.
    Edit {
        client: usize,
        nth: usize,
        saw: Saw,
    },
    /// Another answer to a question.
    Regenerate {
        client: usize,
        nth: usize,
    },
    /// Another version is chosen.
    Select {
        client: usize,
        nth: usize,
    },
    /// Sends a message that says what its author saw last.
    SayAfter {
        client: usize,
        nth: usize,
        saw: Saw,
    },
    Cancel {
        client: usize,
        what: What,
    },
    /// Somebody answers a call.
    Answer {
        client: usize,
        nth: usize,
        how: How,
    },
    Sync {
        client: usize,
        with_cursor: bool,
    },
    Update {
        client: usize,
        nth: usize,
    },
    Garbage {
        client: usize,
        nth: usize,
    },
    /// By HTTP: a change of the session.
    Patch {
        client: usize,
        nth: usize,
    },
    /// By HTTP.
    CancelAll {
        client: usize,
    },
    /// By HTTP: the session ends, and the next message begins another.
    Delete {
        client: usize,
    },
    /// By HTTP: an answer that nobody asked for, perhaps once more.
    Append {
        client: usize,
        nth: usize,
    },
    /// By HTTP: a page of the history.
    Page {
        client: usize,
    },
    /// One frame of a client arrives at the object, or the news that it is gone.
    Up {
        nth: usize,
    },
    /// Some frames arrive at a client, or the news that its socket is closed.
    Down {
        client: usize,
        frames: usize,
    },
    Agent {
        nth: usize,
        does: Does,
    },
    /// Time passes and timers fire on time or so much later, alarms perhaps.
    Advance {
        ms: u64,
        with_alarm: bool,
        late_ms: u64,
    },
    /// Time passes at once: timers are late.
    Jump {
        ms: u64,
    },
    Back {
        ms: u64,
    },
    /// So many timers fire at once, due or not.
    Timers {
        count: usize,
    },
    Alarm,
    Evict,
    Crash {
        after_outputs: u32,
        sockets_survive: bool,
    },
    Panic {
        after_outputs: u32,
    },
    FailWrites {
        after: u32,
        times: u32,
        applied: bool,
    },
    FailReads {
        times: u32,
    },
    /// A stored value cannot be read any more.
    Spoil {
        nth: usize,
        what: Spoils,
    },
    Index {
        nth: usize,
        does: IndexDoes,
    },
    /// Somebody uploads a file, and names it.
    SayFile {
        client: usize,
        nth: usize,
    },
    /// An event of a fork.
    Fork {
        fork: usize,
        nth: usize,
        does: ForkDoes,
    },
    /// A client of another protocol.
    Tab {
        tab: usize,
        nth: usize,
        does: TabDoes,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    LastCursor,
    Nothing,
    /// An earlier state of the client, as one that was kept on disk.
    Earlier(usize),
    ForeignCursor(usize),
}

/// What an author says they saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// Nothing.
    Unsaid,
    /// What they hold.
    Last,
    /// Some message.
    Some(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    One(usize),
    All,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As the call asks for.
    Rightly,
    /// A decision on whatever call there is.
    Decide,
    /// A result of whatever call there is.
    Give,
    /// Of a call that is not there.
    Unknown,
    /// By HTTP, as the call asks for.
    ByHttp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Text {
        pieces: usize,
    },
    Block,
    TextAndBlock,
    /// A thought or a call begins.
    Begin {
        is_call: bool,
    },
    /// The block that is open grows, if one is.
    Grow,
    /// The block that is open is whole, if one is.
    Close,
    /// The block that is open will not be whole, if one is.
    Drop,
    /// Data that takes the place of earlier data.
    Data,
    /// Data that is not kept.
    Transient,
    /// A call that asks for approval, or that a client is to carry out, or both.
    Ask {
        for_approval: bool,
        at_client: bool,
    },
    AskAndFinish {
        for_approval: bool,
        at_client: bool,
    },
    Finish,
    /// The calls that are not marked are the clients'.
    FinishUnmarked,
    TextAndFinish,
    Fail,
    /// An event for a turn that is over.
    SpeakAfterTheEnd,
    /// Before it has said anything, if it has not.
    Refuse(Remedy),
    /// A part of a block that is not finished.
    Gather,
    /// It says that the answer is complete, and stays connected.
    EndSlowly,
    /// A read that brings no event.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexDoes {
    Take,
    Refuse,
    TakeAndSayNo,
    /// The rows are written and nobody ever hears of it.
    TakeSilently,
    /// Nothing is written and nobody ever hears of it.
    Lose,
    /// It takes the delivery, but has lost everything before it.
    BeLost,
    /// It takes the delivery, but was restored to an earlier state before it.
    BeRestored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoils {
    /// Of a message.
    Content,
    /// Of an answer.
    Status,
    JournalText,
    JournalBlocks,
    Session,
    SessionField,
    /// Which turns are open.
    Open,
    /// How much D1 has.
    Delivered,
}
