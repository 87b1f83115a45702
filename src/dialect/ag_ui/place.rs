//! Places of a run, as its events are numbered: `turn:bytes-blocks-open.since`. The turn is counted from the first of its
//! message and left out where it is that; `open` stands there only while a block grows. The rest says what was told since.

use crate::protocol::{Pieces, Progress, Since};

/// What stands for the end of the run.
const END: &str = "end";
/// One for each event with which another run goes on with the turn there.
const GOING_ON: char = '+';
/// By how much an event that says that the run waits raises the number, in place of 1.
const WAITING: u64 = 1 << 32;

/// Reads the place that a client hands back; `None` if no run can have it.
#[must_use]
pub fn read(text: &str) -> Option<(Progress, Since)> {
    let (turn, rest) = text.split_once(':').unwrap_or(("0", text));
    let (held, since) = rest.split_once('.')?;
    let mut numbers = held.split('-').map(|number| number.parse().ok());
    let (bytes, blocks) = (numbers.next()??, numbers.next()??);
    let open = match numbers.next() {
        None => None,
        Some(open) => Some(usize::try_from(open?).ok()?),
    };
    let bytes: u64 = bytes;
    let held = Progress { turn: turn.parse().ok()?, bytes: usize::try_from(bytes).ok()?, blocks, open };
    let since = match since {
        END => Since::Over,
        since if since.starts_with(GOING_ON) => Since::GoingOn(since.len()),
        since => {
            let number: u64 = since.parse().ok()?;
            Since::Told(Pieces { lasting: number % WAITING, waiting: number / WAITING })
        }
    };
    // A place has one spelling.
    (write(held.turn, held, since) == text).then_some((held, since))
}

/// A place in the turn that is the `nth` of its message.
#[must_use]
pub fn write(nth: u64, held: Progress, since: Since) -> String {
    let turn = if nth > 0 { format!("{nth}:") } else { String::new() };
    let open = held.open.map(|open| format!("-{open}")).unwrap_or_default();
    let since = match since {
        Since::Told(Pieces { lasting, waiting }) => {
            waiting.saturating_mul(WAITING).saturating_add(lasting).to_string()
        }
        Since::GoingOn(count) => GOING_ON.to_string().repeat(count),
        Since::Over => END.to_owned(),
    };
    format!("{turn}{}-{}{open}.{since}", held.bytes, held.blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is_one() {
        let held = Progress { turn: 0, bytes: 5, blocks: 2, open: None };
        let told = |lasting, waiting| Since::Told(Pieces { lasting, waiting });
        let open = Progress { open: Some(7), ..held };
        for (nth, held, since, text) in [
            (0, held, told(3, 0), "5-2.3"),
            (1, held, told(1, 2), "1:5-2.8589934593"),
            (0, open, Since::GoingOn(2), "5-2-7.++"),
            (2, held, Since::Over, "2:5-2.end"),
        ] {
            assert_eq!(write(nth, held, since), text);
            assert_eq!(read(text), Some((Progress { turn: nth, ..held }, since)));
        }
        for text in [
            "",
            "5",
            "5-2",
            "5-2.",
            "5.0",
            "5-2.x",
            "5-2.+1",
            "5-2.-1",
            "05-2.0",
            "0:5-2.0",
            "5-2-7-8.0",
            "x:5-2.0",
            "5-2-.0",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
