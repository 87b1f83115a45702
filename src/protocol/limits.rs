//! Every limit of the wire and of a thread, in one place.

/// A frame from a client above this is answered `MESSAGE_TOO_LARGE`; the socket stays open.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// A frame from a client above this closes its socket with 1009.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Text in one `token` frame, and messages in one `snapshot` beyond its newest.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// An answer's text and blocks, as JSON. Some clients accept no frame over 1 MiB.
pub const ANSWER_BYTES_MAX: usize = 960 * 1024;

/// Arrays and objects within each other in JSON: reading them takes the stack.
pub const JSON_DEPTH_MAX: usize = 127;

/// Characters (Unicode code points) of a frame's `type` and `requestId` that its refusal repeats.
pub const REFUSED_NAME_CHARS_MAX: usize = 256;
/// Characters (Unicode code points) of a frame that its refusal repeats where no `requestId` names it.
pub const REFUSED_FRAME_CHARS_MAX: usize = 64;

pub const SESSION_ID_CHARS_MAX: usize = 128;
pub const REQUEST_ID_CHARS_MAX: usize = 128;
pub const CURSOR_CHARS_MAX: usize = 1024;
pub const TITLE_CHARS_MAX: usize = 200;
/// The first message's beginning, as it stands in a list of sessions.
pub const PREVIEW_CHARS_MAX: usize = 100;
/// Blocks in one message or answer.
pub const BLOCKS_MAX: usize = 256;

/// Turns of a thread that wait; the next one is refused with `BUSY`.
pub const QUEUED_TURNS_MAX: usize = 32;
/// The upper end of `CONCURRENT_TURNS`.
pub const CONCURRENT_TURNS_MAX: usize = 16;
/// Sockets of a thread; the next one is closed with 4429.
pub const SOCKETS_MAX: usize = 4096;

/// Messages in a snapshot; earlier ones by HTTP.
pub const SNAPSHOT_MESSAGES_MAX: usize = 50;
/// Stored messages a catch-up may hold; a cursor further back is answered with a snapshot.
pub const CATCH_UP_MESSAGES_MAX: usize = 200;
/// Bytes of stored messages a catch-up may hold.
pub const CATCH_UP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages handed to an agent, the user's own included.
pub const AGENT_MESSAGES_MAX: usize = 200;
/// Bytes of messages handed to an agent beside the user's own.
pub const AGENT_BYTES_MAX: usize = 1024 * 1024;

/// How long an agent may take to say the first of its answer, if `AGENT_FIRST_TOKEN_TIMEOUT_MS` does not
/// say otherwise.
pub const AGENT_FIRST_TOKEN_TIMEOUT_MS: u64 = 600_000;
/// How long an agent may be silent within its answer, if `AGENT_IDLE_TIMEOUT_MS` does not say otherwise.
pub const AGENT_IDLE_TIMEOUT_MS: u64 = 60_000;
/// How long an answer may take in all, if `AGENT_TURN_TIMEOUT_MS` does not say otherwise.
pub const AGENT_TURN_TIMEOUT_MS: u64 = 3_600_000;
/// An agent that lives but says nothing, as with comments, is given so many times the idle limit.
pub const SILENT_IDLES_MAX: u64 = 5;
/// How often a model that is not well is called again, if `AGENT_RETRIES` does not say otherwise.
pub const AGENT_RETRIES: u64 = 2;
/// The first wait before that; it doubles with each further one.
pub const RETRY_MS_MIN: u64 = 500;
/// A model that wants a longer wait than this is not called again.
pub const RETRY_AFTER_MS_MAX: u64 = 30_000;

/// How long more is waited for once a model has said that its answer has ended.
pub const ENDING_MS: u64 = 2_000;

/// How often a call of a model is led to another place of the same origin.
pub const REDIRECTS_MAX: usize = 3;

/// For this long after its turn's last frame text is gathered; what arrives then takes it along.
pub const COALESCE_MS_MIN: u64 = 4;
/// The same for a thread with many sockets: a frame costs as many sends as there are sockets.
pub const COALESCE_MS_MAX: u64 = 13;
/// How many sockets make text wait a millisecond longer, from `COALESCE_MS_MIN` to `COALESCE_MS_MAX`.
pub const COALESCE_SOCKETS_PER_MS: u64 = 2;
/// If nothing arrives, gathered text goes out this part of its time later: not just before more of it comes.
pub const COALESCE_TIMER_PART: u64 = 3;
/// Gathered text is sent at this size without waiting.
pub const COALESCE_BYTES_MAX: usize = 16 * 1024;
/// Text is stored at the latest this long after it came, so that with a slow timer it stays within 500 ms.
pub const JOURNAL_MS: u64 = 490;
/// Text not yet stored is stored at this size without waiting.
pub const JOURNAL_BYTES_MAX: usize = 64 * 1024;
/// While something is unfinished, an alarm is at most this far away: a crash is noticed by then.
pub const GUARD_MS: u64 = 8_000;

/// Messages in one delivery to D1.
/// With the session's own statements below the 50 that an invocation on Cloudflare's free plan may make.
pub const DELIVERY_MESSAGES_MAX: usize = 40;
/// Bytes of messages in one delivery to D1, beyond its first.
pub const DELIVERY_BYTES_MAX: usize = 512 * 1024;
/// How long a message waits for its answer, so that both are one delivery; a session's first never waits.
pub const DELIVERY_DELAY_MS: u64 = 10_000;
/// A delivery that has not been answered by then is tried again.
pub const DELIVERY_TIMEOUT_MS: u64 = 30_000;
/// The first wait after a failed delivery; it doubles with each further one.
pub const DELIVERY_RETRY_MS_MIN: u64 = 1_000;
pub const DELIVERY_RETRY_MS_MAX: u64 = 300_000;
/// Events after which a checkpoint is written even though the thread does not rest.
pub const UNSAVED_EVENTS_MAX: u64 = 64;
/// Failed deliveries in a row after which records are tried one by one.
pub const DELIVERY_FAILURES_BATCHED_MAX: u32 = 3;
/// How often in a row a record fails alone, right after D1 took something else, before it is parked.
pub const DELIVERY_DOUBTS_MAX: u32 = 3;

/// Sessions or messages in one page of HTTP.
pub const PAGE_MAX: usize = 200;
pub const PAGE_DEFAULT: usize = 50;
/// A list of sessions that D1 has not given by then is answered `STORAGE_ERROR`.
pub const LIST_TIMEOUT_MS: u64 = 10_000;
/// For so long an isolate remembers which migrations the D1 database lacks, and what `/health` says of it.
pub const DATABASE_AGE_MS: u64 = 10_000;
/// A database that has not answered `/health` by then is unreachable.
pub const HEALTH_TIMEOUT_MS: u64 = 1_000;
/// Bytes of messages in one page of HTTP, beyond its first.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of an HTTP request's body.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
pub const QUERY_CHARS_MAX: usize = 200;
/// Words of a query that are searched for; those after them are left out.
pub const QUERY_WORDS_MAX: usize = 16;
/// Messages and titles that a search ranks.
pub const SEARCH_HITS_MAX: usize = 1_000;

/// Bytes of a message that are searched. With its content they fit into a row of D1, of 2 MB.
pub const INDEXED_BYTES_MAX: usize = 512 * 1024;

/// Bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a token's subject.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// A key set is fetched anew after this time.
pub const JWKS_AGE_MS_MAX: u64 = 600_000;
/// A key set is fetched at most this often, whatever keys tokens name.
pub const JWKS_REFRESH_MS_MIN: u64 = 30_000;
pub const JWKS_TIMEOUT_MS: u64 = 5_000;
/// How soon it is tried again, as long as there is no key set at all.
pub const JWKS_RETRY_MS_MIN: u64 = 1_000;
/// How long a ticket can be redeemed.
pub const TICKET_MS: u64 = 30_000;
/// Tickets of one thread that wait to be redeemed.
pub const TICKETS_MAX: usize = 1_024;
/// Messages of one subject, or of one connection where everybody is let in, in a minute.
pub const MESSAGES_PER_MINUTE: u64 = 1_200;
/// Frames of any kind that come with each message of `MESSAGES_PER_MINUTE`; one more closes its socket
/// with 4429.
pub const FRAMES_PER_MESSAGE: u64 = 5;
/// Frames in a minute that are taken even where few messages are.
pub const FRAMES_PER_MINUTE_MIN: u64 = 1_000;
/// Bytes of a thread that a subject is sent because it asks for them (catch-ups, snapshots, pages, exports, messages
/// that it sends again) in a minute; of a connection, where everybody is let in. What began within it is
/// finished.
pub const READ_BYTES_PER_MINUTE: u64 = 64 * 1024 * 1024;
/// Frames of one connection that were refused as invalid; the next one closes it with 1008.
pub const INVALID_FRAMES_MAX: u64 = 256;
/// Sockets of one subject on one thread.
pub const SUBJECT_SOCKETS_MAX: usize = 256;
