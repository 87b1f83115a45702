//! Offsets in a run, which number its events: `turn:bytes-blocks-open.since`. The turn is counted from the first turn
//! of its message, and is left out for that one. `open` is present only while a block grows. The rest counts the
//! events told since.

use crate::protocol::{Pieces, Progress, Since};

/// Marks the end of the run.
const END: &str = "end";
/// Appears once for each event with which another run continues the turn from here.
const GOING_ON: char = '+';
/// The increase of the number by an event that says that the run waits; other events raise it by 1.
const WAITING: u64 = 1 << 32;

/// Reads the offset that a client sends back; `None` if no run can have it.
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
    // An offset has only one spelling.
    (write(held.turn, held, since) == text).then_some((held, since))
}

/// Writes the offset in the turn that is the `nth` of its message.
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
