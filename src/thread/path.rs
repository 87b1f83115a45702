//! Which of several versions of a conversation is the current one.
//!
//! All versions stand in one log, in the order in which they were written. A *segment* is a stretch of the log in which the path only
//! grew. It begins with a turn that brought the path elsewhere. So a path is a few stretches of the log, and needs no list of its
//! messages.
//!
//! **Invariant:** nothing is ever rewritten. A path names places, and a place holds the same for ever.

use crate::protocol::{CollectVec, Json, Read, Write};

/// A place behind all others; every JSON number up to it is exact.
pub(super) const END: u64 = 1 << 53;

/// The stretches of the log whose messages are on the path, oldest first: each from its first place to before its
/// last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<(u64, u64)>);

impl Default for Path {
    /// All of the log: there are no versions.
    fn default() -> Self {
        Path(vec![(0, END)])
    }
}

impl Path {
    /// The path of these stretches, in any order. Only stretches of a single place may overlap others.
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

    /// Whether a message at this place of the log is on the path.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= seq);
        self.0.get(after.wrapping_sub(1)).is_some_and(|(_, to)| seq < *to)
    }

    /// Whether the answer of a turn is, over or not. Behind each record stands the `session` event that followed it,
    /// and belongs to the same stretch unless that ends with a question whose answer is another turn's.
    #[must_use]
    pub fn has_answer(&self, turn: u64) -> bool {
        self.contains(turn) && self.contains(turn.saturating_add(1))
    }

    /// Whether there were no versions when it began.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Path::default()
    }

    /// The stretches, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().rev().copied()
    }

    /// Where the last stretch begins, to which the log adds: the path was another one before.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.0.last().map_or(0, |(from, _)| *from)
    }

    /// Where its first message is, or the place before.
    #[must_use]
    pub fn beginning(&self) -> u64 {
        self.0.first().map_or(0, |(from, _)| *from)
    }

    /// With all that comes from this place on.
    #[must_use]
    pub fn with_all_since(&self, seq: u64) -> Path {
        let mut stretches = self.0.clone();
        stretches.push((seq, END));
        Path::of(stretches)
    }

    /// The part at or behind a place.
    #[must_use]
    pub fn part_from(&self, seq: u64) -> Path {
        let part = self.0.iter().filter(|(_, to)| *to > seq);
        Path(part.map(|(from, to)| (seq.max(*from), *to)).collect_vec())
    }

    /// The first place that is on one of two paths and not on the other.
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

/// Written as `[[from, to], …]`. The last stretch has no end, and is written as `[from]`.
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

/// A turn with which a segment begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The turn.
    pub turn: u64,
    /// The turn before it on its path or, of another answer, the one that its question came with; `None` if there is none.
    pub parent: Option<u64>,
    /// Whether it is another answer to the question that `parent` came with.
    pub is_answer: bool,
    /// The turn of the first version, if it is a new version of a message.
    pub first: Option<u64>,
    /// The id of the answer that this is another version of, if that does not follow from its turn.
    pub old_id: Option<String>,
}

/// All turns with which segments begin, oldest first.
#[derive(Debug)]
pub(super) struct Tree(Vec<Start>);

/// A path to a turn, as far as the segments tell.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) stretches: Vec<(u64, u64)>,
    /// The turns that begin where a stretch breaks off: of those that had begun before and were not over then, the
    /// answers stand behind.
    pub(super) edges: Vec<u64>,
}

impl Way {
    /// With the places behind the edges that are on the path too.
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

    /// With which the segment of a turn begins; `None` for the first segment.
    fn start(&self, turn: u64) -> Option<&Start> {
        self.0.get(self.behind(turn).checked_sub(1)?)
    }

    /// Where the segment of a turn ends: with the start of the next one.
    pub(super) fn end(&self, turn: u64) -> u64 {
        self.0.get(self.behind(turn)).map_or(END, |start| start.turn)
    }

    /// The path to the end of a turn's segment.
    pub(super) fn way(&self, turn: u64) -> Way {
        let (start, end) = (self.start(turn), self.end(turn));
        let mut way = start.map(|start| self.way_before(start)).unwrap_or_default();
        way.stretches.push((start.map_or(0, |start| start.turn), end));
        way.edges.extend((end < END).then_some(end));
        way
    }

    /// The path to where a segment begins.
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

    /// From a question, or from an answer, on to the end by the newest version wherever there are several: a turn of
    /// the last segment.
    pub(super) fn newest(&self, mut turn: u64, mut is_answer: bool) -> u64 {
        // In the order in which a path comes to them.
        let fork = |start: &Start| (start.parent.unwrap_or_default(), !start.is_answer, start.turn);
        let mut forks: Vec<_> = self.0.iter().map(fork).collect_vec();
        forks.sort_unstable();
        loop {
            let next = forks.partition_point(|(at, is_message, _)| (*at, *is_message) < (turn, is_answer));
            let fork = forks.get(next).filter(|(at, ..)| *at < self.end(turn));
            let Some((at, is_message, _)) = fork else { return turn };
            let versions = forks.iter().skip(next).take_while(|it| it.0 == *at && it.1 == *is_message);
            let newest = versions.last().map_or(turn, |(.., turn)| *turn);
            // Another answer is followed by what was said to it, a message by its answers.
            (turn, is_answer) = (newest, !*is_message);
        }
    }

    /// Those with which versions of one message begin beside the first.
    pub(super) fn beside(&self, parent: Option<u64>, is_answer: bool) -> Vec<Start> {
        let is_it = |start: &&Start| start.parent == parent && start.is_answer == is_answer;
        self.0.iter().filter(is_it).cloned().collect_vec()
    }

    /// Whether two turns are of one segment.
    pub(super) fn are_together(&self, one: u64, other: u64) -> bool {
        self.behind(one) == self.behind(other)
    }
}
