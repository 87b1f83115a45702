//! The current path among several versions of a conversation.
//!
//! All versions are in one log, in the order in which they were written. A *segment* is a stretch of the log
//! in which the path only grew. It begins with a turn that moved the path elsewhere. So a path consists of a
//! few stretches of the log, and needs no list of its messages.
//!
//! **Invariant:** the log is never rewritten. A path consists of sequence numbers, and the record at a
//! sequence number never changes.

use crate::protocol::{CollectVec, Json, Read, Write};

/// A sequence number after all others; every integer up to it is exact in JSON.
pub(super) const END: u64 = 1 << 53;

/// The stretches of the log whose messages are on the path, oldest first: each from its first sequence number
/// up to but not including its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<(u64, u64)>);

impl Default for Path {
    /// The whole log, as when there are no versions.
    fn default() -> Self {
        Path(vec![(0, END)])
    }
}

impl Path {
    /// Builds a path from stretches in any order. Only stretches of a single record may overlap others.
    fn of(mut stretches: Vec<(u64, u64)>) -> Self {
        stretches.sort_unstable();
        let mut path: Vec<(u64, u64)> = Vec::new();
        for (from, to) in stretches {
            match path.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => path.push((from, to)),
            }
        }
        Path(path)
    }

    /// Returns whether a message with this sequence number is on the path.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= seq);
        self.0.get(after.wrapping_sub(1)).is_some_and(|(_, to)| seq < *to)
    }

    /// Returns whether a turn's answer is on the path, or will be. Each record is followed by its `session`
    /// event, which belongs to the same stretch, unless that stretch ends with a question whose answer
    /// belongs to another turn. So the number after the record tells.
    #[must_use]
    pub fn has_answer(&self, turn: u64) -> bool {
        self.contains(turn) && self.contains(turn.saturating_add(1))
    }

    /// Returns whether there were no versions when the path began.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Path::default()
    }

    /// Returns the stretches, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().rev().copied()
    }

    /// Returns where the last stretch begins, which is the one that grows. Before it the path was another
    /// one.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.0.last().map_or(0, |(from, _)| *from)
    }

    /// Returns where the path's first message is, or the number before it.
    #[must_use]
    pub fn beginning(&self) -> u64 {
        self.0.first().map_or(0, |(from, _)| *from)
    }

    /// Returns the path with everything from this sequence number on.
    #[must_use]
    pub fn with_all_since(&self, seq: u64) -> Path {
        let mut stretches = self.0.clone();
        stretches.push((seq, END));
        Path::of(stretches)
    }

    /// Returns the part at or after a sequence number.
    #[must_use]
    pub fn part_from(&self, seq: u64) -> Path {
        let part = self.0.iter().filter(|(_, to)| *to > seq);
        Path(part.map(|(from, to)| (seq.max(*from), *to)).collect_vec())
    }

    /// Returns the first sequence number that is on one of two paths and not on the other.
    #[must_use]
    pub fn first_difference(&self, other: &Path) -> u64 {
        let differing = self.0.iter().zip(&other.0).find(|(one, other)| one != other);
        match differing {
            Some(((from, to), (other_from, other_to))) if from == other_from => *to.min(other_to),
            Some(((from, _), (other_from, _))) => *from.min(other_from),
            None => END,
        }
    }
}

/// Written as `[[from, to], …]`. The last stretch has no end and is written as `[from]`.
impl Write for Path {
    fn write(&self, out: &mut Vec<u8>) {
        let stretch = |(from, to): &(u64, u64)| if *to == END { vec![*from] } else { vec![*from, *to] };
        self.0.iter().map(stretch).collect_vec().write(out);
    }
}

impl Read for Path {
    fn blank() -> Self {
        Path(Vec::new())
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        let Some(stretches) = json.and_then(Vec::<Vec<u64>>::read) else { return false };
        for stretch in stretches {
            let Some(from) = stretch.first() else { return false };
            self.0.push((*from, stretch.get(1).copied().unwrap_or(END)));
        }
        true
    }
}

/// A turn that begins a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The turn.
    pub turn: u64,
    /// The turn before it on its path; if it only answers a question again, the turn that asked the question.
    /// `None` if there is none.
    pub parent: Option<u64>,
    /// Whether it is another answer to the question of `parent`.
    pub is_answer: bool,
    /// If it is a new version of a message, the turn of the first version.
    pub first: Option<u64>,
    /// The id of the answer that this is another version of, if it cannot be derived from that answer's turn.
    pub old_id: Option<String>,
}

/// All turns that begin a segment, oldest first.
#[derive(Debug)]
pub(super) struct Tree(Vec<Start>);

/// A path to a turn, as far as it follows from the segments alone.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) stretches: Vec<(u64, u64)>,
    /// The turns that begin where a stretch ends. Turns that were still running then have their answers after
    /// the edge.
    pub(super) edges: Vec<u64>,
}

impl Way {
    /// Returns the path with these answers after the edges.
    pub(super) fn path(&self, late: &[u64]) -> Path {
        let mut stretches = self.stretches.clone();
        for seq in late {
            stretches.push((*seq, seq.saturating_add(1)));
        }
        Path::of(stretches)
    }
}

impl Tree {
    pub(super) fn new(mut starts: Vec<Start>) -> Self {
        starts.sort_unstable_by_key(|start| start.turn);
        Tree(starts)
    }

    fn behind(&self, turn: u64) -> usize {
        self.0.partition_point(|start| start.turn <= turn)
    }

    /// Returns the turn that begins the segment of a turn; `None` for the first segment.
    fn start(&self, turn: u64) -> Option<&Start> {
        self.0.get(self.behind(turn).checked_sub(1)?)
    }

    /// Returns where the segment of a turn ends, which is the start of the next one.
    pub(super) fn end(&self, turn: u64) -> u64 {
        self.0.get(self.behind(turn)).map_or(END, |start| start.turn)
    }

    /// Returns the path to the end of a turn's segment.
    pub(super) fn way(&self, turn: u64) -> Way {
        let (start, end) = (self.start(turn), self.end(turn));
        let mut way = start.map(|start| self.way_before(start)).unwrap_or_default();
        way.stretches.push((start.map_or(0, |start| start.turn), end));
        way.edges.extend((end < END).then_some(end));
        way
    }

    /// Returns the path up to the beginning of a segment.
    pub(super) fn way_before(&self, start: &Start) -> Way {
        let (mut way, mut start) = (Way::default(), Some(start));
        while let Some(Start { parent: Some(parent), is_answer, first, .. }) = start {
            let end = self.end(*parent);
            let next = first.filter(|first| *first < end).unwrap_or(end);
            let (to, edge) = if *is_answer { (parent.saturating_add(1), *parent) } else { (next, next) };
            start = self.start(*parent);
            way.stretches.push((start.map_or(0, |start| start.turn), to));
            way.edges.push(edge);
        }
        way
    }

    /// Follows the newest version at each fork, from a question or an answer to the end. Returns a turn of
    /// the last segment.
    pub(super) fn newest(&self, mut turn: u64, mut is_answer: bool) -> u64 {
        // Sorted in the order in which a path meets them.
        let fork = |start: &Start| (start.parent.unwrap_or_default(), !start.is_answer, start.turn);
        let mut forks: Vec<_> = self.0.iter().map(fork).collect_vec();
        forks.sort_unstable();
        loop {
            let next = forks.partition_point(|(at, is_message, _)| (*at, *is_message) < (turn, is_answer));
            let fork = forks.get(next).filter(|(at, ..)| *at < self.end(turn));
            let Some((at, is_message, _)) = fork else { return turn };
            let versions = forks.iter().skip(next).take_while(|it| it.0 == *at && it.1 == *is_message);
            let newest = versions.last().map_or(turn, |(.., turn)| *turn);
            // Another answer is followed by replies to it; a message is followed by its answers.
            (turn, is_answer) = (newest, !*is_message);
        }
    }

    /// Returns the turns that begin the versions of one message, except the first version.
    pub(super) fn beside(&self, parent: Option<u64>, is_answer: bool) -> Vec<Start> {
        let is_it = |start: &&Start| start.parent == parent && start.is_answer == is_answer;
        self.0.iter().filter(is_it).cloned().collect_vec()
    }

    /// Returns whether two turns are in the same segment.
    pub(super) fn are_together(&self, one: u64, other: u64) -> bool {
        self.behind(one) == self.behind(other)
    }
}
