//! A seed chooses the events of a run.

use bobbin::agent::Remedy;
use bobbin::dialect::Stock;

use super::forks::ForkDoes;
use super::people::Person;
use super::steps::{Does, How, IndexDoes, Saw, Spoils, Step, What, With};
use super::tabs::TabDoes;
use crate::support::Random;

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub databases: u64,
    /// Milliseconds, far beyond the run; 0 for none.
    pub retention_ms: u64,
    pub concurrent_turns: usize,
    pub first_token_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub turn_timeout_ms: u64,
    pub agent_retries: u64,
    /// Whether unmarked calls are for the clients.
    pub waits_for_tools: bool,
    /// One person for each client; one person may have several clients.
    pub people: Vec<Person>,
    pub messages_per_minute: Option<u64>,
    pub frames_per_minute_min: Option<u64>,
    pub read_bytes_per_minute: Option<u64>,
    pub invalid_frames_max: u64,
    /// Bytes between two checks, if sockets come near what they may owe.
    pub check_bytes: Option<u64>,
    /// Which clients answer no check, by the bits of their numbers.
    pub mute: usize,
    /// Which clients use HTTP alone, by the bits of their numbers.
    pub by_http: usize,
    /// Clients of other protocols, and whether they have sockets.
    pub tabs: Vec<(Person, Stock, bool)>,
    /// The number of forks.
    pub forks: usize,
    /// Whether objects crash, stores fail and D1 fails.
    pub is_faulty: bool,
    pub steps: Vec<Step>,
}

const RETENTION_MS: u64 = 30 * 86_400_000;
const STEPS_MIN: usize = 20;
const STEPS_MAX: usize = 140;
const HOUR_MS: u64 = 3_600_000;

impl Plan {
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let people = people(&mut random, 4);
        let is_faulty = !random.chance(30);
        let is_limited = random.chance(10);
        // Few runs need more messages than a catch-up may hold: they take their time.
        let mut floods = match random.below(1_000) {
            0..3 => usize::MAX,
            3..20 => 3,
            _ => 0,
        };
        let idle_timeout_ms = [500, 2_000, 60_000][random.below(3)];
        let count = STEPS_MIN + random.below(STEPS_MAX - STEPS_MIN);
        let mut steps = vec![FIRST];
        for _ in 0..count {
            let step = step(&mut random, people.len(), is_faulty);
            if floods > 0 && matches!(step, Step::Say { .. }) {
                floods -= 1;
                steps.extend(std::iter::repeat_n(step, 20));
                steps.extend(std::iter::repeat_n(Step::Up { nth: 0 }, 20));
            }
            steps.push(step);
        }
        vary(&mut steps, seed, people.len());
        let tabs = tabs(&mut steps, seed, &people);
        let forks = forks(&mut steps, seed, people.len(), is_faulty);
        let mut limit =
            |percent, from, to| (is_limited && random.chance(percent)).then(|| random.between(from, to));
        let (messages_per_minute, frames_per_minute_min) = (limit(60, 1, 12), limit(60, 5, 40));
        let read_bytes_per_minute = limit(60, 2_000, 60_000);
        let (concurrent_turns, first_token_timeout_ms) =
            (1 + random.below(4), [500, 5_000, 60_000][random.below(3)]);
        let turn_timeout_ms = if random.chance(20) { 20_000 } else { 3_600_000 };
        let (agent_retries, invalid_frames_max) = (random.between(0, 2), random.between(0, 3));
        let waits_for_tools = random.chance(20);
        let is_checked = random.chance(15) && !is_limited;
        Plan {
            seed,
            databases: random.between(1, 3),
            retention_ms: if random.chance(40) { RETENTION_MS } else { 0 },
            concurrent_turns,
            first_token_timeout_ms,
            idle_timeout_ms,
            turn_timeout_ms,
            agent_retries,
            waits_for_tools,
            people,
            messages_per_minute,
            frames_per_minute_min,
            read_bytes_per_minute,
            invalid_frames_max,
            check_bytes: is_checked.then(|| random.between(500, 4_000)),
            mute: random.below(16),
            by_http: if random.chance(40) { random.below(16) } else { 0 },
            tabs,
            forks,
            is_faulty,
            steps,
        }
    }

    /// The steps that the bytes choose, as many as there are bytes for.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut random = Random::of_bytes(bytes);
        let people = people(&mut random, 3);
        let concurrent_turns = 1 + random.below(3);
        let mut steps = vec![FIRST];
        while !random.is_exhausted() && steps.len() < STEPS_MAX {
            steps.push(step(&mut random, people.len(), true));
        }
        Plan {
            seed: 0,
            databases: 2,
            retention_ms: RETENTION_MS,
            concurrent_turns,
            first_token_timeout_ms: 5_000,
            idle_timeout_ms: 2_000,
            turn_timeout_ms: 20_000,
            agent_retries: 2,
            waits_for_tools: false,
            people,
            messages_per_minute: None,
            frames_per_minute_min: None,
            read_bytes_per_minute: None,
            invalid_frames_max: 3,
            check_bytes: None,
            mute: 0,
            by_http: 0,
            tabs: Vec::new(),
            forks: 0,
            is_faulty: true,
            steps,
        }
    }

    /// Tells whether anybody comes near the limits on use per minute.
    pub fn is_limited(&self) -> bool {
        let limits = [self.messages_per_minute, self.frames_per_minute_min, self.read_bytes_per_minute];
        limits.iter().any(Option::is_some)
    }
}

/// Adds, in half of the runs, people who change their minds. The other events stay the same.
fn vary(steps: &mut Vec<Step>, seed: u64, clients: usize) {
    let mut random = Random::new(!seed);
    if random.chance(50) {
        return;
    }
    for _ in 0..=random.below(24) {
        let (client, nth) = (random.below(clients), random.below(64));
        let saw = match random.below(10) {
            0..5 => Saw::Last,
            5..8 => Saw::Unsaid,
            _ => Saw::Some(random.below(64)),
        };
        let step = match random.below(10) {
            0..4 => Step::Edit { client, nth, saw },
            4..6 => Step::Regenerate { client, nth },
            6..9 => Step::Select { client, nth },
            _ => Step::SayAfter { client, nth, saw },
        };
        let at = 1 + random.below(steps.len());
        steps.insert(at, step);
        // Few of them are of use before anything is said, or if they do not arrive.
        if random.chance(70) {
            steps.insert(at + 1, Step::Up { nth });
        }
    }
}

/// Adds, in a third of the runs, clients of other protocols.
fn tabs(steps: &mut Vec<Step>, seed: u64, people: &[Person]) -> Vec<(Person, Stock, bool)> {
    let mut random = Random::new(seed.rotate_left(32) ^ 0x7ab5);
    if random.chance(66) {
        return Vec::new();
    }
    let is_open = people.contains(&Person::ANYONE);
    let count = 1 + random.below(3);
    let person = |random: &mut Random| match random.below(3) {
        _ if is_open => Person::ANYONE,
        0 => Person::choose(random),
        _ => people[random.below(people.len())],
    };
    let stock = |random: &mut Random| if random.chance(60) { Stock::AiSdk } else { Stock::AgUi };
    let tabs = (0..count).map(|_| (person(&mut random), stock(&mut random), random.chance(60))).collect();
    for _ in 0..6 + random.below(30) {
        let (tab, nth) = (random.below(count), random.below(64));
        let at = 1 + random.below(steps.len());
        steps.insert(at, Step::Tab { tab, nth, does: tab_does(&mut random) });
    }
    // An answer that ends with a call of nobody's, to which a client then gives the result.
    if random.chance(20) {
        let tab = random.below(count);
        let as_tab = |does| Step::Tab { tab, nth: 1, does };
        let agent = |does| Step::Agent { nth: 0, does };
        let agents = [Does::Begin { is_call: true }, Does::Close, Does::Finish].map(agent);
        steps.push(as_tab(TabDoes::Send));
        steps.extend(agents);
        steps.push(as_tab(TabDoes::Resume));
        steps.push(as_tab(TabDoes::Answer));
    }
    tabs
}

/// Adds, in a quarter of the runs, forks and messages that name files.
fn forks(steps: &mut Vec<Step>, seed: u64, clients: usize, is_faulty: bool) -> usize {
    let mut random = Random::new(seed.rotate_left(16) ^ 0xf0_2c);
    if random.chance(75) {
        return 0;
    }
    for _ in 0..random.below(5) {
        let at = 1 + random.below(steps.len());
        let nth = random.below(64);
        steps.insert(at, Step::SayFile { client: random.below(clients), nth });
        steps.insert(at + 1, Step::Up { nth });
    }
    let count = 1 + random.below(2);
    let mut at = 1 + random.below(steps.len());
    for _ in 0..8 + random.below(40) {
        let does = fork_does(&mut random, clients, is_faulty);
        let step = Step::Fork { fork: random.below(count), nth: random.below(64), does };
        steps.insert(at, step);
        // Most pages follow one another closely; some things happen between them.
        let far = if random.chance(10) { random.below(40) } else { random.below(4) };
        at = (at + 1 + far).min(steps.len());
    }
    count
}

fn fork_does(random: &mut Random, clients: usize, is_faulty: bool) -> ForkDoes {
    match random.below(if is_faulty { 30 } else { 25 }) {
        0..4 => ForkDoes::Ask { client: random.below(clients) },
        4..24 => ForkDoes::Hop { page_max: 1 + random.below(6) },
        24 => ForkDoes::Evict,
        25..28 => ForkDoes::Crash { after_outputs: small(random) },
        _ => ForkDoes::FailWrite { after: small(random), applied: random.chance(50) },
    }
}

fn tab_does(random: &mut Random) -> TabDoes {
    match random.below(40) {
        0..5 => TabDoes::Open { token_ms: token_ms(random) },
        5..8 => TabDoes::Cut,
        8..17 => TabDoes::Send,
        17..19 => TabDoes::Again,
        19..21 => TabDoes::Edit,
        21..23 => TabDoes::Regenerate,
        23..31 => TabDoes::Resume,
        31..33 => TabDoes::Abort,
        33 => TabDoes::Stop,
        _ => TabDoes::Answer,
    }
}

const FIRST: Step = Step::Connect { client: 0, with: With::Nothing, token_ms: None };

/// Everybody is let in, or everybody has a token.
fn people(random: &mut Random, count_max: usize) -> Vec<Person> {
    let count = 1 + random.below(count_max);
    let is_open = random.chance(25);
    (0..count).map(|_| if is_open { Person::ANYONE } else { Person::choose(random) }).collect()
}

fn step(random: &mut Random, clients: usize, is_faulty: bool) -> Step {
    let client = random.below(clients);
    let nth = random.below(64);
    match random.below(if is_faulty { 126 } else { 112 }) {
        0..4 => Step::Connect { client, with: with(random), token_ms: token_ms(random) },
        4..7 => Step::Drop { client },
        7..16 => Step::Say { client, shape: nth },
        16..18 => Step::Repeat { client },
        18..20 => Step::Copy { client, nth },
        20 => Step::Clash { client, nth },
        21..24 => Step::Cancel { client, what: what(random) },
        24..26 => Step::Sync { client, with_cursor: random.chance(70) },
        26..28 => Step::Update { client, nth },
        28 if random.chance(60) => Step::Garbage { client, nth },
        28 if random.chance(40) => Step::Patch { client, nth },
        28 if random.chance(75) => Step::Delete { client },
        28 => Step::CancelAll { client },
        29..44 => Step::Up { nth },
        44..54 => Step::Down { client, frames: 1 + random.below(6) },
        54..78 => Step::Agent { nth, does: does(random) },
        78..90 => advance(random),
        90 if random.chance(5) => Step::Jump { ms: HOUR_MS },
        90 => Step::Jump { ms: random.between(100, 70_000) },
        91 if random.chance(20) => Step::Back { ms: HOUR_MS },
        91 => Step::Back { ms: random.between(1, 200) },
        92 => Step::Alarm,
        93..95 => Step::Evict,
        95..100 if is_faulty => Step::Index { nth, does: index_does(random) },
        95..100 => Step::Index { nth, does: IndexDoes::Take },
        100 => Step::Timers { count: 1 + nth % 4 },
        101 if random.chance(30) => Step::Append { client, nth },
        101 => Step::Page { client },
        102..112 => Step::Answer { client, nth, how: how(random) },
        112..117 => {
            let after_outputs = small(random);
            Step::Crash { after_outputs, sockets_survive: random.chance(40) }
        }
        117..119 => Step::Panic { after_outputs: small(random) },
        119..123 => {
            let times = if random.chance(80) { 1 } else { 1 + small(random) };
            Step::FailWrites { after: small(random), times, applied: random.chance(50) }
        }
        123..125 => Step::Spoil { nth, what: spoils(random) },
        _ => Step::FailReads { times: 1 + small(random) / 4 },
    }
}

fn small(random: &mut Random) -> u32 {
    u32::try_from(random.below(10)).unwrap_or_default()
}

fn token_ms(random: &mut Random) -> Option<u64> {
    match random.below(10) {
        0..6 => None,
        6..8 => Some(random.between(1, 2_000)),
        8 => Some(random.between(2_000, 90_000)),
        _ => Some(random.between(0, 20)),
    }
}

fn spoils(random: &mut Random) -> Spoils {
    match random.below(12) {
        0..3 => Spoils::Content,
        3..5 => Spoils::Status,
        5 => Spoils::JournalText,
        6 => Spoils::JournalBlocks,
        7 => Spoils::Session,
        8 => Spoils::SessionField,
        9..11 => Spoils::Open,
        _ => Spoils::Delivered,
    }
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

fn how(random: &mut Random) -> How {
    match random.below(10) {
        0..6 => How::Rightly,
        6 => How::Decide,
        7 => How::Give,
        8 => How::Unknown,
        _ => How::ByHttp,
    }
}

fn does(random: &mut Random) -> Does {
    match random.below(70) {
        46..52 => Does::Ask { for_approval: random.chance(60), at_client: random.chance(50) },
        52..54 => Does::FinishUnmarked,
        54..66 => Does::AskAndFinish { for_approval: random.chance(60), at_client: random.chance(50) },
        0..10 => Does::Text { pieces: 1 + random.below(4) },
        10 => Does::Block,
        11 => Does::TextAndBlock,
        12..15 => Does::Finish,
        15 => Does::TextAndFinish,
        16 => Does::Fail,
        17..19 => Does::SpeakAfterTheEnd,
        19 => Does::Nothing,
        20..25 | 66..70 => Does::Refuse(remedy(random)),
        25 => Does::Gather,
        26 => Does::EndSlowly,
        27..30 => Does::Begin { is_call: random.below(2) == 0 },
        30..38 => Does::Grow,
        38..41 => Does::Close,
        41 => Does::Drop,
        42..44 => Does::Data,
        _ => Does::Transient,
    }
}

fn remedy(random: &mut Random) -> Remedy {
    match random.below(9) {
        0..4 => Remedy::Later { after_ms: None },
        4 => Remedy::Later { after_ms: Some(random.between(0, 40_000)) },
        5 => Remedy::Plain,
        6 => Remedy::Shorter,
        7 => Remedy::Tools,
        _ => Remedy::None,
    }
}

fn index_does(random: &mut Random) -> IndexDoes {
    match random.below(22) {
        0..8 => IndexDoes::Take,
        8..12 => IndexDoes::Refuse,
        12..16 => IndexDoes::TakeAndSayNo,
        16..18 => IndexDoes::TakeSilently,
        18 => IndexDoes::BeLost,
        19 => IndexDoes::BeRestored,
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
    // The journal is written soon enough for timers that are ten milliseconds late.
    let late_ms = if random.chance(80) { 0 } else { random.between(1, 10) };
    Step::Advance { ms, with_alarm: random.chance(70), late_ms }
}
