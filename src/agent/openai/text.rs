//! Assembles the text of an answer from its pieces, and separates thinking between tags from it, for servers
//! that leave the tags in the model's text.

use crate::agent::piece::Piece;

/// The names of tags, in upper or lower case and perhaps with attributes: `Seed` uses `seed:think`. Magistral
/// uses `[THINK]`.
const NAMES: [&str; 5] = ["think", "thinking", "thought", "reasoning", "seed:think"];
/// White space before a tag is held back up to this size. Beyond it, it counts as part of the answer.
const SPACE_BYTES_MAX: usize = 64;
/// A longer tag counts as text.
const TAG_BYTES_MAX: usize = 128;
/// This many backticks begin a fenced block of code. Fewer begin code that ends with its line.
const FENCE_TICKS: usize = 3;

/// ```text
///           text             tag                  its end           anything but a line's end
///  Before ────────▶ Text ──────────▶ Within(tag) ────────▶ Behind ──────────────────────────▶ Text
/// ```
#[derive(Debug, Default)]
enum Place {
    #[default]
    Before,
    Text,
    /// The name of the tag, and how it was written unless it is the first thing in the answer.
    Within(&'static str, String),
    Behind,
}

#[derive(Debug, Default)]
pub(super) struct Text {
    /// The part that was not read yet: at most half a character.
    unread: Piece<'static>,
    /// The possible beginning of a tag.
    held: String,
    place: Place,
    /// Whether any text was emitted.
    is_begun: bool,
    /// Whether there was a tag.
    is_tagged: bool,
    /// The number of backticks right before this, and of those that opened the present code.
    ticks: usize,
    code: usize,
}

pub(super) enum Part<'a> {
    /// Thinking, and whether that is certain: otherwise its tag may never be closed.
    Thinking(&'a str, bool),
    Text(&'a str),
    /// The beginning of another thought.
    Opening,
    /// The opening tag as it was written. Its end never came, so the thinking since then is text.
    NoThinking(&'a str),
}

struct Tag {
    name: &'static str,
    is_closing: bool,
    /// Its length; 0 if more text may make it a tag.
    length: usize,
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

    /// Emits the text that was held back, because something else follows. Half a character still waits for
    /// its other half.
    pub(super) fn pause(&mut self, take: &mut dyn FnMut(Part)) {
        let held = std::mem::take(&mut self.held);
        match &mut self.place {
            Place::Within(_, written) => {
                // The next part cannot be put after this if it becomes text.
                written.clear();
                take(Part::Thinking(&held, true));
            }
            _ if held.is_empty() => {}
            _ => self.say(&held, take),
        }
    }

    /// Emits everything that is left, because nothing follows.
    pub(super) fn end(&mut self, take: &mut dyn FnMut(Part)) {
        let text = self.unread.take_all();
        self.read(&text, take);
        let Place::Within(_, written) = std::mem::take(&mut self.place) else { return self.pause(take) };
        take(Part::Thinking(&std::mem::take(&mut self.held), written.is_empty()));
        if !written.is_empty() {
            take(Part::NoThinking(&written));
        }
    }

    /// Drops the text that was held back: an answer that breaks off must not end with half a character or
    /// half a tag.
    pub(super) fn break_off(&mut self) {
        self.unread = Piece::default();
        self.held.clear();
    }

    fn say(&mut self, text: &str, take: &mut dyn FnMut(Part)) {
        self.place = Place::Text;
        self.is_begun |= !text.is_empty();
        take(Part::Text(text));
    }

    fn read(&mut self, text: &str, take: &mut dyn FnMut(Part)) {
        let mut held = std::mem::take(&mut self.held);
        let mut rest = text;
        if !held.is_empty() {
            held.push_str(text);
            rest = &held;
        }
        while !rest.is_empty() {
            let tail = match &self.place {
                Place::Before => {
                    let said = rest.trim_ascii_start();
                    let is_short = rest.len().saturating_sub(said.len()) < SPACE_BYTES_MAX;
                    let found = tag(said).filter(|_| is_short);
                    if is_short && said.is_empty() || found.as_ref().is_some_and(|tag| tag.length == 0) {
                        break;
                    }
                    self.place = Place::Text;
                    if found.is_some_and(|tag| !tag.is_closing) { said } else { rest }
                }
                Place::Behind => {
                    let said = rest.trim_start_matches(['\r', '\n']);
                    if !said.is_empty() {
                        self.place = Place::Text;
                    }
                    said
                }
                Place::Within(name, written) => {
                    let is_certain = written.is_empty();
                    let (thinking, tail) = split(rest, rest.bytes().position(is_opening));
                    take(Part::Thinking(thinking, is_certain));
                    match tag(tail) {
                        Some(tag) if tag.length == 0 => {
                            rest = tail;
                            break;
                        }
                        Some(tag) if tag.is_closing && tag.name == *name => {
                            self.place = Place::Behind;
                            split(tail, Some(tag.length)).1
                        }
                        _ => {
                            let (no_tag, tail) = split(tail, Some(1));
                            take(Part::Thinking(no_tag, is_certain));
                            tail
                        }
                    }
                }
                Place::Text => {
                    let (said, tail) = split(rest, self.tag_place(rest));
                    self.say(said, take);
                    match tag(tail) {
                        Some(tag) if tag.length == 0 => {
                            rest = tail;
                            break;
                        }
                        // If the prompt contains a model's first tag, its answer contains only the closing
                        // one.
                        Some(tag) if !tag.is_closing || !self.is_tagged => {
                            let (written, tail) = split(tail, Some(tag.length));
                            let is_first = !(self.is_begun || std::mem::replace(&mut self.is_tagged, true));
                            self.place = Place::Behind;
                            if !tag.is_closing {
                                take(Part::Opening);
                                let written = if is_first { "" } else { written };
                                self.place = Place::Within(tag.name, written.to_owned());
                            }
                            tail
                        }
                        _ => {
                            let (no_tag, tail) = split(tail, Some(1));
                            self.say(no_tag, take);
                            tail
                        }
                    }
                }
            };
            rest = tail;
        }
        self.held = String::from(rest);
    }

    /// Returns the next place where a tag may be: not within code.
    fn tag_place(&mut self, text: &str) -> Option<usize> {
        text.bytes().position(|byte| {
            if byte == b'`' {
                self.ticks = self.ticks.saturating_add(1);
                return false;
            }
            let ticks = std::mem::take(&mut self.ticks);
            if self.code == 0 {
                self.code = ticks;
            } else if ticks == self.code || ticks > self.code && self.code >= FENCE_TICKS {
                self.code = 0;
            }
            if byte == b'\n' && self.code < FENCE_TICKS {
                self.code = 0;
            }
            self.code == 0 && is_opening(byte)
        })
    }
}

fn is_opening(byte: u8) -> bool {
    matches!(byte, b'<' | b'[')
}

fn split(text: &str, at: Option<usize>) -> (&str, &str) {
    at.and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

/// Returns the tag, or possible tag, that the text begins with.
fn tag(text: &str) -> Option<Tag> {
    let bytes = text.as_bytes();
    let is_bracket = *bytes.first().filter(|byte| is_opening(**byte))? == b'[';
    let is_closing = bytes.get(1) == Some(&b'/');
    let rest = bytes.get(if is_closing { 2 } else { 1 }..)?;
    let end = if is_bracket { b']' } else { b'>' };
    for name in NAMES {
        let is_like = |(letter, byte): &(u8, &u8)| {
            if is_bracket { letter.to_ascii_uppercase() == **byte } else { byte.eq_ignore_ascii_case(letter) }
        };
        let like = name.bytes().zip(rest).take_while(is_like).count();
        let tail = rest.get(like..).unwrap_or_default();
        let behind = bytes.len().saturating_sub(tail.len());
        let is_named = like == name.len() && (tail.starts_with(b" ") || tail.starts_with(&[end]));
        let length = match tail.iter().position(|byte| *byte == end || matches!(byte, b'<' | b'\n')) {
            _ if tail.is_empty() => 0,
            Some(at) if is_named && tail.get(at) == Some(&end) => behind.saturating_add(at).saturating_add(1),
            None if is_named => 0,
            _ => continue,
        };
        let is_short = length.max(if length == 0 { bytes.len() } else { 0 }) <= TAG_BYTES_MAX;
        return is_short.then_some(Tag { name, is_closing, length });
    }
    None
}
