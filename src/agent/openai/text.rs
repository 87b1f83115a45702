//! The text of an answer, put together from its pieces, and the thinking that stands between tags at its
//! beginning where a server does not take it out of what its model writes.

use crate::agent::piece::Piece;

/// What opens the thinking of an answer, and what closes it.
const TAGS: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
];
/// Of a text that begins with more white space, no tag is awaited.
const SPACE_BYTES_MAX: usize = 64;

/// ```text
///          tag                 its end            anything but a line's end
///  Before ─────▶ Within(end) ─────────▶ Behind ────────────────────────────▶ Text
///    │                                                                        ▲
///    └───────────────────── anything but a tag's beginning ───────────────────┘
/// ```
#[derive(Debug, Default)]
enum Place {
    #[default]
    Before,
    Within(&'static str),
    Behind,
    Text,
}

#[derive(Debug, Default)]
pub(super) struct Text {
    /// What of it was not read: at most half a character.
    unread: Piece<'static>,
    /// What may be the beginning of a tag.
    held: String,
    place: Place,
}

pub(super) enum Part<'a> {
    Thinking(&'a str),
    Text(&'a str),
}

impl Text {
    pub(super) fn push(&mut self, piece: &Piece, take: &mut dyn FnMut(Part)) {
        match piece.as_str() {
            Some(text) if self.unread.is_empty() => self.read(text, take),
            _ => {
                self.unread.push(piece);
                let text = self.unread.take();
                self.read(&text, take);
            }
        }
    }

    /// Gives what was held back, as something else follows, or nothing.
    pub(super) fn end(&mut self, take: &mut dyn FnMut(Part)) {
        let text = self.unread.take_all();
        self.read(&text, take);
        let held = std::mem::take(&mut self.held);
        match self.place {
            _ if held.is_empty() => {}
            Place::Within(_) => take(Part::Thinking(&held)),
            _ => {
                self.place = Place::Text;
                take(Part::Text(&held));
            }
        }
    }

    /// Drops what was held back: an answer that breaks off has no half characters and half tags.
    pub(super) fn break_off(&mut self) {
        self.unread = Piece::default();
        self.held.clear();
    }

    fn read(&mut self, text: &str, take: &mut dyn FnMut(Part)) {
        if text.is_empty() {
            return;
        }
        if matches!(self.place, Place::Text) {
            return take(Part::Text(text));
        }
        self.held.push_str(text);
        let mut held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        loop {
            match self.place {
                Place::Before => {
                    let said = rest.trim_ascii_start();
                    if let Some((open, close)) = TAGS.iter().find(|(open, _)| said.starts_with(open)) {
                        self.place = Place::Within(close);
                        rest = said.get(open.len()..).unwrap_or_default();
                        continue;
                    }
                    if rest.len() < SPACE_BYTES_MAX && TAGS.iter().any(|(open, _)| open.starts_with(said)) {
                        break;
                    }
                    self.place = Place::Text;
                }
                Place::Within(close) => {
                    let end = find(rest, close);
                    let (thinking, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    take(Part::Thinking(thinking));
                    rest = tail;
                    let Some(behind) = tail.strip_prefix(close) else { break };
                    self.place = Place::Behind;
                    rest = behind;
                }
                Place::Behind => {
                    rest = rest.trim_start_matches(['\r', '\n']);
                    if rest.is_empty() {
                        break;
                    }
                    self.place = Place::Text;
                }
                Place::Text => {
                    take(Part::Text(rest));
                    rest = "";
                    break;
                }
            }
        }
        let done = held.len().saturating_sub(rest.len());
        held.drain(..done);
        self.held = held;
    }
}

/// Where the tag, or what may be the beginning of it, stands; else the end.
fn find(text: &str, tag: &str) -> usize {
    let bytes = text.as_bytes();
    let is_tag = |at: &usize| {
        let rest = bytes.get(*at..).unwrap_or_default();
        rest.starts_with(tag.as_bytes()) || tag.as_bytes().starts_with(rest)
    };
    (0..bytes.len()).find(is_tag).unwrap_or(bytes.len())
}
