//! Every limit of the wire and of a thread, in one place.

/// A frame from a client above this is answered `MESSAGE_TOO_LARGE`; the socket stays open.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// A frame from a client above this closes its socket with 1009.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The same for clients of other protocols, which send the whole history each time.
pub const STOCK_FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Requests of one such socket that wait or run at the same time; the next one is refused.
pub const STOCK_REQUESTS_MAX: usize = 32;
/// Text in one `token` frame, and messages in one `snapshot` beyond its newest.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a `data:` URL in a `file` block.
pub const DATA_URL_BYTES_MAX: usize = 128 * 1024;
/// An answer's text and blocks, as JSON. Some clients accept no frame over 1 MiB.
pub const ANSWER_BYTES_MAX: usize = 960 * 1024;

/// Levels of nested arrays and objects in JSON; each takes some of the stack while it is read.
pub const JSON_DEPTH_MAX: usize = 127;

/// Characters (Unicode code points) of a frame's `type` and `requestId` that its refusal repeats.
pub const REFUSED_NAME_CHARS_MAX: usize = 256;
/// Characters (Unicode code points) of a frame that its refusal repeats if no `requestId` names it.
pub const REFUSED_FRAME_CHARS_MAX: usize = 64;

/// Characters of a session's id.
pub const SESSION_ID_CHARS_MAX: usize = 128;
/// Characters of a `requestId`.
pub const REQUEST_ID_CHARS_MAX: usize = 128;
/// Characters of a cursor; a longer one is answered with a snapshot.
pub const CURSOR_CHARS_MAX: usize = 1024;
/// Characters (Unicode code points) of a session's title.
pub const TITLE_CHARS_MAX: usize = 200;
/// Characters of the first message in a list of sessions.
pub const PREVIEW_CHARS_MAX: usize = 100;
/// Bytes of a message's `metadata`, as JSON.
pub const MESSAGE_METADATA_BYTES_MAX: usize = 16 * 1024;
/// Bytes of an endpoint's word, such as a model's name.
pub const WORD_BYTES_MAX: usize = 256;
/// Bytes of a session's `metadata`, as JSON.
pub const SESSION_METADATA_BYTES_MAX: usize = 4 * 1024;
/// Blocks in one message or answer.
pub const BLOCKS_MAX: usize = 256;

/// Bytes of a file that is uploaded.
pub const FILE_BYTES_MAX: u64 = 25 * 1024 * 1024;
/// Bytes of a file's name; the rest is cut off before its ending.
pub const FILE_NAME_BYTES_MAX: usize = 200;
/// Bytes of a media type.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// How long a file is kept if no message names it.
pub const FILE_UNNAMED_MS: u64 = 24 * 3_600_000;
/// How long an upload may take. It is shorter than a file is kept, so that no upload ends after its row has
/// gone.
pub const FILE_UPLOAD_MS: u64 = 3_600_000;
/// Files of one subject in one session that no message names. One message can name all of them.
pub const FILES_UNNAMED_MAX: usize = BLOCKS_MAX;
/// Files that R2 is asked to delete at once.
pub const FILES_REMOVED_MAX: usize = 1_000;

/// Turns of a thread that are queued or wait for a person; the next one is refused with `BUSY`.
pub const QUEUED_TURNS_MAX: usize = 32;
/// How often the agent of one turn is called; if it asks for another call, the turn fails.
pub const ROUNDS_MAX: u64 = 256;
/// Characters (Unicode code points) of a decision's `reason`.
pub const REASON_CHARS_MAX: usize = 1_000;
/// The upper end of `CONCURRENT_TURNS`.
pub const CONCURRENT_TURNS_MAX: usize = 16;
/// Sockets of a thread; the next one is closed with 4429.
pub const SOCKETS_MAX: usize = 4096;

/// Messages in a snapshot; earlier ones are read by HTTP.
pub const SNAPSHOT_MESSAGES_MAX: usize = 50;
/// Stored messages in a catch-up; a cursor further back is answered with a snapshot.
pub const CATCH_UP_MESSAGES_MAX: usize = 200;
/// Bytes of stored messages in a catch-up.
pub const CATCH_UP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages handed to an agent, the user's own included, if `AGENT_HISTORY_MESSAGES` does not say otherwise.
pub const AGENT_MESSAGES: usize = 200;
/// Bytes of messages handed to an agent beside the user's own, if `AGENT_HISTORY_BYTES` does not say otherwise.
pub const AGENT_BYTES: usize = 1024 * 1024;

/// Bytes of the files of a history that an agent is given, newest first; the others are only named.
pub const AGENT_FILES_BYTES_MAX: u64 = 20 * 1024 * 1024;
/// Bytes of a text file that an agent is given as text; a longer one is only named.
pub const AGENT_TEXT_BYTES_MAX: u64 = 128 * 1024;
/// Bytes of an image that Anthropic accepts: 5 MiB in base64.
pub const ANTHROPIC_IMAGE_BYTES_MAX: u64 = 5 * 1024 * 1024 / 4 * 3;

/// How long an agent may take to begin its answer, if `AGENT_FIRST_TOKEN_TIMEOUT_MS` does not say otherwise.
pub const AGENT_FIRST_TOKEN_TIMEOUT_MS: u64 = 600_000;
/// How long an agent may be silent within its answer, if `AGENT_IDLE_TIMEOUT_MS` does not say otherwise.
pub const AGENT_IDLE_TIMEOUT_MS: u64 = 60_000;
/// How long a whole answer may take, if `AGENT_TURN_TIMEOUT_MS` does not say otherwise.
pub const AGENT_TURN_TIMEOUT_MS: u64 = 3_600_000;
/// An agent that sends only keep-alives, such as comments, may do so for this many times the idle limit.
pub const SILENT_IDLES_MAX: u64 = 5;
/// How often a failed call of a model is retried, if `AGENT_RETRIES` does not say otherwise.
pub const AGENT_RETRIES: u64 = 2;
/// The first backoff before a retry; it doubles each time.
pub const RETRY_MS_MIN: u64 = 500;
/// If a model asks for a longer wait than this, it is not called again.
pub const RETRY_AFTER_MS_MAX: u64 = 30_000;

/// How long to wait for the rest of the response once a model has said that its answer has ended.
pub const ENDING_MS: u64 = 2_000;

/// How many redirects in a row are followed: of a model's endpoint, or of an issuer's key set.
pub const REDIRECTS_MAX: usize = 3;

/// Text that comes this soon after its turn's last frame is gathered; later text is sent with it.
pub const COALESCE_MS_MIN: u64 = 4;
/// The same for a thread with many sockets, where a frame costs one send per socket.
pub const COALESCE_MS_MAX: u64 = 13;
/// How many sockets make text wait a millisecond longer, from `COALESCE_MS_MIN` to `COALESCE_MS_MAX`.
pub const COALESCE_SOCKETS_PER_MS: u64 = 2;
/// From this many sockets on, text is also gathered for as long as it took to send the last frame to all of
/// them.
pub const COALESCE_MEASURED_SOCKETS: usize = 128;
/// The maximum of that time, in milliseconds, because the clock may have been set forward meanwhile.
pub const COALESCE_MEASURED_MS_MAX: u64 = 1_000;
/// If no more text comes, a timer sends the gathered text. It waits a third longer, so that it does not fire
/// just before more text comes.
pub const COALESCE_TIMER_PART: u64 = 3;
/// Gathered text is sent at this size without waiting.
pub const COALESCE_BYTES_MAX: usize = 16 * 1024;
/// Text is stored at most this long after it came. Even with a slow timer that is within 500 ms.
pub const JOURNAL_MS: u64 = 490;
/// Text not yet stored is stored at this size without waiting.
pub const JOURNAL_BYTES_MAX: usize = 64 * 1024;
/// While something is unfinished, an alarm is at most this far away, so that a crash is noticed by then.
pub const GUARD_MS: u64 = 8_000;

/// Messages in one delivery to D1. Together with the session's own statements they stay below the 50 that an
/// invocation on Cloudflare's free plan may make.
pub const DELIVERY_MESSAGES_MAX: usize = 40;
/// Bytes of messages in one delivery to D1, not counting the first.
pub const DELIVERY_BYTES_MAX: usize = 512 * 1024;
/// How long a message waits for its answer, so that both go into one delivery. A session's first message
/// never waits.
pub const DELIVERY_DELAY_MS: u64 = 10_000;
/// A delivery that is not answered within this time is retried.
pub const DELIVERY_TIMEOUT_MS: u64 = 30_000;
/// The first backoff after a failed delivery; it doubles each time.
pub const DELIVERY_RETRY_MS_MIN: u64 = 1_000;
/// The longest backoff after a failed delivery.
pub const DELIVERY_RETRY_MS_MAX: u64 = 300_000;
/// How long a deleted session's `requestId`s are remembered, so that none of its messages begins it again.
pub const DELETION_KEPT_MS: u64 = 90 * 24 * 3_600_000;
/// How many of them are remembered, newest first.
pub const DELETED_REQUESTS_MAX: usize = 1_024;
/// Events after which a checkpoint is written even though the thread does not rest.
pub const UNSAVED_EVENTS_MAX: u64 = 64;
/// Failed deliveries in a row after which records are tried one by one.
pub const DELIVERY_FAILURES_BATCHED_MAX: u32 = 3;
/// How often in a row a record must fail alone, right after D1 took something else, before it is parked.
pub const DELIVERY_DOUBTS_MAX: u32 = 3;

/// Sessions or messages in one page of HTTP.
pub const PAGE_MAX: usize = 200;
/// Bytes of one page of a fork on its way to the copy.
pub const FORK_PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages of a fork.
pub const FORK_MESSAGES_MAX: u64 = 10_000;
/// Sessions or messages in one page of HTTP, if `limit` does not say otherwise.
pub const PAGE_DEFAULT: usize = 50;
/// How long D1 may take to answer a list of sessions before it is answered `STORAGE_ERROR`.
pub const LIST_TIMEOUT_MS: u64 = 10_000;
/// Bytes of an import's body: a part of a session as JSON Lines.
pub const IMPORT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// D1 databases of a deployment.
pub const DATABASES_MAX: usize = 64;

/// How long one of several databases may take to answer a list or a search, in milliseconds.
pub const LIST_PART_TIMEOUT_MS: u64 = 3_000;

/// How long an isolate remembers which migrations the D1 database lacks, and the database's state for
/// `/health`.
pub const DATABASE_AGE_MS: u64 = 10_000;
/// How long a database may take to answer `/health` before it counts as unreachable.
pub const HEALTH_TIMEOUT_MS: u64 = 1_000;
/// How long a database, a bucket or an agent may take to answer `/health?deep=1` before it counts as failing.
pub const DEEP_HEALTH_TIMEOUT_MS: u64 = 5_000;
/// Bytes of messages in one page of HTTP, not counting the first.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of an HTTP request's body.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Characters (Unicode code points) of a search's query.
pub const QUERY_CHARS_MAX: usize = 200;
/// Words of a query that are searched for; further ones are ignored.
pub const QUERY_WORDS_MAX: usize = 16;
/// Messages and titles that a search ranks: the newest of each with the words.
pub const SEARCH_HITS_MAX: usize = 1_000;
/// How long a search continues after its answer, to index texts of older builds again.
pub const REFILL_MS: u64 = 20_000;
/// How long to wait before looking for more such texts, after there were none or the attempt failed.
pub const REFILL_PAUSE_MS: u64 = 600_000;

/// Bytes of a message that are searched. With its content they fit into a row of D1, which has at most 2 MB.
pub const INDEXED_BYTES_MAX: usize = 512 * 1024;

/// Bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a token's subject.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// A key set is fetched again after this time.
pub const JWKS_AGE_MS_MAX: u64 = 600_000;
/// The least time between two fetches of a key set, whatever keys tokens name.
pub const JWKS_REFRESH_MS_MIN: u64 = 30_000;
/// Bytes of a key set.
pub const JWKS_BYTES_MAX: usize = 1024 * 1024;
/// How long fetching a key set may take.
pub const JWKS_TIMEOUT_MS: u64 = 5_000;
/// The time before a retry while there is no key set at all.
pub const JWKS_RETRY_MS_MIN: u64 = 1_000;
/// How long a ticket can be redeemed.
pub const TICKET_MS: u64 = 30_000;
/// How long a ticket is valid for streams of events.
pub const EVENTS_TICKET_MS: u64 = 600_000;
/// How often a stream of events is sent a comment to keep it open.
pub const COMMENT_MS: u64 = 15_000;
/// Tickets of one thread that wait to be redeemed.
pub const TICKETS_MAX: usize = 1_024;
/// Messages of one subject, or of one connection where everybody is let in, in a minute.
pub const MESSAGES_PER_MINUTE: u64 = 1_200;
/// Frames of any kind that may come with each message of `MESSAGES_PER_MINUTE`; one more closes its socket
/// with 4429.
pub const FRAMES_PER_MESSAGE: u64 = 5;
/// Frames that may come in a minute even if few messages may.
pub const FRAMES_PER_MINUTE_MIN: u64 = 1_000;
/// Bytes of a thread that a subject may ask for in a minute: catch-ups, snapshots, pages, exports and
/// messages that it sends again. Where everybody is let in, it is each connection. A response that began
/// within the limit is finished.
pub const READ_BYTES_PER_MINUTE: u64 = 64 * 1024 * 1024;
/// Bytes that a socket is sent between two checks; fewer on threads with many sockets.
pub const CHECK_BYTES: u64 = 1024 * 1024;
/// Bytes that a socket may owe: those it was sent since the last check that it answered. Above that it is
/// closed with 4429.
pub const SOCKET_OWED_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes that the sockets of a thread may owe together. Above that, those that owe most are closed with 4429.
pub const OWED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The bytes that a closed socket owes count until the runtime reports its end, but no longer than this.
pub const LEAVING_MS: u64 = 30_000;
/// Frames of one connection that are refused as invalid; the next one closes it with 1008.
pub const INVALID_FRAMES_MAX: u64 = 256;
/// Sockets of one subject on one thread.
pub const SUBJECT_SOCKETS_MAX: usize = 256;
/// Bytes of a `tracestate`: the minimum of the standard.
pub const TRACESTATE_BYTES_MAX: usize = 512;
