//! What may happen, and how a seed chooses of it. A step that does not apply does nothing, so that any of a
//! run's steps may be left out.

use crate::support::Random;

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub concurrent_turns: usize,
    pub idle_timeout_ms: u64,
    pub clients: usize,
    /// Whether objects crash, stores fail and D1 fails.
    pub is_faulty: bool,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Connect {
        client: usize,
        with: With,
    },
    Drop {
        client: usize,
    },
    Say {
        client: usize,
        shape: usize,
    },
    /// The oldest message without an answer, once more.
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
    Cancel {
        client: usize,
        what: What,
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
        nth: usize,
    },
    /// By HTTP.
    CancelAll,
    /// By HTTP: the session ends, and the next message begins another.
    Delete,
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
    /// Time passes and timers fire on time, alarms perhaps.
    Advance {
        ms: u64,
        with_alarm: bool,
    },
    /// Time passes at once: timers are late.
    Jump {
        ms: u64,
    },
    Back {
        ms: u64,
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
    Index {
        nth: usize,
        does: IndexDoes,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    One(usize),
    All,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Text {
        pieces: usize,
    },
    Block,
    TextAndBlock,
    Finish,
    TextAndFinish,
    Fail,
    /// An event for a turn that is over.
    SpeakAfterTheEnd,
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
}

const STEPS_MIN: usize = 20;
const STEPS_MAX: usize = 140;

impl Plan {
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clients = 1 + random.below(4);
        let is_faulty = !random.chance(30);
        let is_flood = random.chance(2);
        let idle_timeout_ms = [500, 2_000, 60_000][random.below(3)];
        let count = STEPS_MIN + random.below(STEPS_MAX - STEPS_MIN);
        let mut steps = vec![Step::Connect { client: 0, with: With::Nothing }];
        for _ in 0..count {
            let step = step(&mut random, clients, is_faulty);
            if is_flood && matches!(step, Step::Say { .. }) {
                steps.extend(std::iter::repeat_n(step, 20));
                steps.extend(std::iter::repeat_n(Step::Up { nth: 0 }, 20));
            }
            steps.push(step);
        }
        Plan { seed, concurrent_turns: 1 + random.below(4), idle_timeout_ms, clients, is_faulty, steps }
    }
}

impl Plan {
    /// The steps that the bytes choose, as many as there are bytes for.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut random = Random::of_bytes(bytes);
        let clients = 1 + random.below(3);
        let concurrent_turns = 1 + random.below(3);
        let mut steps = vec![Step::Connect { client: 0, with: With::Nothing }];
        while !random.is_exhausted() && steps.len() < STEPS_MAX {
            steps.push(step(&mut random, clients, true));
        }
        Plan { seed: 0, concurrent_turns, idle_timeout_ms: 2_000, clients, is_faulty: true, steps }
    }
}

fn step(random: &mut Random, clients: usize, is_faulty: bool) -> Step {
    let client = random.below(clients);
    let nth = random.below(64);
    match random.below(if is_faulty { 112 } else { 100 }) {
        0..4 => Step::Connect { client, with: with(random) },
        4..7 => Step::Drop { client },
        7..16 => Step::Say { client, shape: nth },
        16..18 => Step::Repeat { client },
        18..20 => Step::Copy { client, nth },
        20 => Step::Clash { client, nth },
        21..24 => Step::Cancel { client, what: what(random) },
        24..26 => Step::Sync { client, with_cursor: random.chance(70) },
        26..28 => Step::Update { client, nth },
        28 if random.chance(60) => Step::Garbage { client, nth },
        28 if random.chance(40) => Step::Patch { nth },
        28 if random.chance(60) => Step::Delete,
        28 => Step::CancelAll,
        29..44 => Step::Up { nth },
        44..54 => Step::Down { client, frames: 1 + random.below(6) },
        54..78 => Step::Agent { nth, does: does(random) },
        78..90 => advance(random),
        90 => Step::Jump { ms: random.between(100, 70_000) },
        91 => Step::Back { ms: random.between(1, 200) },
        92 => Step::Alarm,
        93..95 => Step::Evict,
        95..100 if is_faulty => Step::Index { nth, does: index_does(random) },
        95..100 => Step::Index { nth, does: IndexDoes::Take },
        100..105 => {
            let after_outputs = small(random);
            Step::Crash { after_outputs, sockets_survive: random.chance(40) }
        }
        105..107 => Step::Panic { after_outputs: small(random) },
        107..111 => {
            let times = if random.chance(80) { 1 } else { 1 + small(random) };
            Step::FailWrites { after: small(random), times, applied: random.chance(50) }
        }
        _ => Step::FailReads { times: 1 + small(random) / 4 },
    }
}

fn small(random: &mut Random) -> u32 {
    u32::try_from(random.below(10)).unwrap_or_default()
}

fn with(random: &mut Random) -> With {
    match random.below(10) {
        0..6 => With::LastCursor,
        6 => With::Nothing,
        7..9 => With::Earlier(random.below(64)),
        _ => With::ForeignCursor(random.below(64)),
    }
}

fn what(random: &mut Random) -> What {
    match random.below(8) {
        0..5 => What::One(random.below(64)),
        5..7 => What::All,
        _ => What::Unknown,
    }
}

fn does(random: &mut Random) -> Does {
    match random.below(20) {
        0..10 => Does::Text { pieces: 1 + random.below(4) },
        10 => Does::Block,
        11 => Does::TextAndBlock,
        12..15 => Does::Finish,
        15 => Does::TextAndFinish,
        16 => Does::Fail,
        17..19 => Does::SpeakAfterTheEnd,
        _ => Does::Nothing,
    }
}

fn index_does(random: &mut Random) -> IndexDoes {
    match random.below(10) {
        0..4 => IndexDoes::Take,
        4..6 => IndexDoes::Refuse,
        6..8 => IndexDoes::TakeAndSayNo,
        8 => IndexDoes::TakeSilently,
        _ => IndexDoes::Lose,
    }
}

fn advance(random: &mut Random) -> Step {
    let ms = match random.below(10) {
        0..5 => random.between(1, 12),
        5..8 => random.between(13, 600),
        8 => random.between(600, 9_000),
        _ => random.between(9_000, 70_000),
    };
    Step::Advance { ms, with_alarm: random.chance(70) }
}
