//! Ids of messages, and the digests of ids that a deletion keeps. Ids are derived from sequence numbers, so
//! none is stored twice.

use crate::protocol::limits::DELETED_REQUESTS_MAX;

const DIGEST_CHARS: usize = 16;

/// Returns the beginning of all message ids of one log.
#[must_use]
pub fn message_id_prefix(epoch: u64) -> String {
    format!("msg_{epoch:x}_")
}

/// Returns the id of a user's message.
#[must_use]
pub fn question_id(epoch: u64, turn: u64) -> String {
    format!("{}{turn:x}", message_id_prefix(epoch))
}

/// Returns the id of a turn's answer, which is known from the start. Its last letter is no hexadecimal digit,
/// so it differs from all ids of questions.
#[must_use]
pub fn answer_id(epoch: u64, turn: u64) -> String {
    format!("{}r", question_id(epoch, turn))
}

/// Returns the digest of a `requestId` that a deletion keeps. It recognises a message that is sent again
/// without revealing anything: 64 bits (FNV-1a) as 16 hexadecimal digits.
#[must_use]
pub fn digest(request_id: &str) -> String {
    format!("{:016x}", hash(request_id))
}

/// Returns the digests that a deletion notes, each followed by a space: those of the newest `requestId`s
/// first, then those that `earlier` deletions noted, as far as there is room.
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

/// Returns the FNV-1a hash of a text, 64 bits.
pub(in crate::thread) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
