//! Ids of messages, and what a deletion keeps of ids. Ids follow from places in the log, so none is stored twice.

use crate::protocol::limits::DELETED_REQUESTS_MAX;

const DIGEST_CHARS: usize = 16;

/// How the ids of one log's messages begin.
#[must_use]
pub fn message_id_prefix(epoch: u64) -> String {
    format!("msg_{epoch:x}_")
}

/// The id of a user's message.
#[must_use]
pub fn question_id(epoch: u64, turn: u64) -> String {
    format!("{}{turn:x}", message_id_prefix(epoch))
}

/// The id of a turn's answer, known from the start. No hexadecimal number ends with its last letter.
#[must_use]
pub fn answer_id(epoch: u64, turn: u64) -> String {
    format!("{}r", question_id(epoch, turn))
}

/// What a deletion keeps of a `requestId`, so that a message that is sent again is known and nothing of it can be read:
/// 64 bits of it (FNV-1a), as 16 hexadecimal digits.
#[must_use]
pub fn digest(request_id: &str) -> String {
    format!("{:016x}", hash(request_id))
}

/// The digests that a deletion notes, each with a space behind it: of the newest `requestId` first, then of what
/// `earlier` deletions had noted, as far as there is room.
#[must_use]
pub fn digests<'a>(newest_first: impl Iterator<Item = &'a str>, earlier: &str) -> String {
    let mut noted = String::new();
    for request_id in newest_first {
        noted.push_str(&digest(request_id));
        noted.push(' ');
    }
    noted.push_str(earlier);
    noted.truncate(DELETED_REQUESTS_MAX.saturating_mul(DIGEST_CHARS.saturating_add(1)));
    noted
}

/// FNV-1a, 64 bits.
pub(in crate::thread) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
