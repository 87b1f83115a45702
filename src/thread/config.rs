//! A thread's limits and timeouts. They are passed in, so tests can run a thread with any values.

use crate::protocol::limits;

/// The limits and timeouts of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether there is a D1 database to deliver to.
    pub delivers: bool,
    /// Milliseconds from its last use until a session is deleted; 0 keeps it.
    pub retention_ms: u64,
    /// How many D1 databases there are for new sessions, 1 to 64.
    pub databases: u64,
    /// Whether there is a bucket for files.
    pub keeps_files: bool,
    /// Milliseconds between two writes of the text of a running answer.
    pub journal_ms: u64,
    /// How many turns may run at once, 1 to 16.
    pub concurrent_turns: usize,
    /// Whether a turn waits for the results of its calls if its agent does not say who has to give them.
    pub waits_for_tools: bool,
    /// Milliseconds that an agent may take to begin its answer.
    pub agent_first_token_timeout_ms: u64,
    /// Milliseconds that an agent may be silent within its answer.
    pub agent_idle_timeout_ms: u64,
    /// Milliseconds that a whole answer may take.
    pub agent_turn_timeout_ms: u64,
    /// How often an agent is called again after transient failures.
    pub agent_retries: u64,
    /// Messages that an agent is given, the user's own included.
    pub agent_messages: usize,
    /// Bytes of messages that an agent is given, not counting the user's own.
    pub agent_bytes: usize,
    /// Messages that one subject may send in a minute. Here and below, a connection without a subject is counted
    /// by itself.
    pub messages_per_minute: u64,
    /// Frames of any kind that one subject may send in a minute even if it may send few messages.
    pub frames_per_minute_min: u64,
    /// Bytes of the thread that one subject may ask for in a minute.
    pub read_bytes_per_minute: u64,
    /// Invalid frames that one connection may send; one more closes it with 1008.
    pub invalid_frames_max: u64,
    /// Sockets that may be open on the thread at once; one more is closed with 4429.
    pub sockets_max: usize,
    /// Sockets that one subject may have open on the thread at once; one more is closed with 4429.
    pub subject_sockets_max: usize,
    /// Bytes that a socket is sent between two checks.
    pub check_bytes: u64,
    /// Bytes that a socket may owe: those it was sent since the last check that it answered.
    pub socket_owed_bytes_max: u64,
    /// Bytes that the sockets of the thread may owe together.
    pub owed_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            delivers: true,
            retention_ms: 0,
            databases: 1,
            keeps_files: true,
            journal_ms: limits::JOURNAL_MS,
            concurrent_turns: 1,
            waits_for_tools: false,
            agent_first_token_timeout_ms: limits::AGENT_FIRST_TOKEN_TIMEOUT_MS,
            agent_idle_timeout_ms: limits::AGENT_IDLE_TIMEOUT_MS,
            agent_turn_timeout_ms: limits::AGENT_TURN_TIMEOUT_MS,
            agent_retries: limits::AGENT_RETRIES,
            agent_messages: limits::AGENT_MESSAGES,
            agent_bytes: limits::AGENT_BYTES,
            messages_per_minute: limits::MESSAGES_PER_MINUTE,
            frames_per_minute_min: limits::FRAMES_PER_MINUTE_MIN,
            read_bytes_per_minute: limits::READ_BYTES_PER_MINUTE,
            invalid_frames_max: limits::INVALID_FRAMES_MAX,
            sockets_max: limits::SOCKETS_MAX,
            subject_sockets_max: limits::SUBJECT_SOCKETS_MAX,
            check_bytes: limits::CHECK_BYTES,
            socket_owed_bytes_max: limits::SOCKET_OWED_BYTES_MAX,
            owed_bytes_max: limits::OWED_BYTES_MAX,
        }
    }
}
