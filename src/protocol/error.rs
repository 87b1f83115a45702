//! The contract's error and close codes.

use super::Word;
use super::objects::object;
use super::words::words;

words! {
    /// Why something was refused or failed, as clients see it in frames and HTTP bodies.
    pub enum ErrorCode {
        /// The frame or request does not have the form that the contract requires.
        InvalidMessage = "INVALID_MESSAGE",
        /// The frame or the body of the request is too large.
        MessageTooLarge = "MESSAGE_TOO_LARGE",
        /// The frame names another thread than its socket's.
        ThreadMismatch = "THREAD_MISMATCH",
        /// The `requestId` was used for another message.
        DuplicateRequest = "DUPLICATE_REQUEST",
        /// A call of a tool was answered before, in another way.
        AlreadyAnswered = "ALREADY_ANSWERED",
        /// It refers to something that is not on the current path, or uses an id that is used otherwise.
        Conflict = "CONFLICT",
        /// The message was sent before its session was deleted.
        Deleted = "DELETED",
        /// Too many messages, requests, tickets or bytes in too short a time.
        RateLimited = "RATE_LIMITED",
        /// Too many turns of the thread are waiting already.
        Busy = "BUSY",
        /// The credential is missing, bad or expired.
        Unauthenticated = "UNAUTHENTICATED",
        /// The caller's role does not allow this.
        Forbidden = "FORBIDDEN",
        /// There is no such session or address, or none that the caller may see.
        NotFound = "NOT_FOUND",
        /// The model refused, failed or broke off, or the answer is too long.
        AgentError = "AGENT_ERROR",
        /// The model was silent for too long, or its answer took too long.
        AgentTimeout = "AGENT_TIMEOUT",
        /// The thread crashed in the middle of the answer.
        Interrupted = "INTERRUPTED",
        /// The store could not be read or written.
        StorageError = "STORAGE_ERROR",
        /// The deployment lacks what this needs.
        NotConfigured = "NOT_CONFIGURED",
        /// A defect of the server.
        Internal = "INTERNAL",
    }
}

object! {
    /// An error on the wire. The message says what was wrong and what would be right, and never contains a
    /// secret, a stack or a path.
    #[derive(Eq)]
    pub struct ErrorBody {
        /// The error, for programs.
        #[cfg_attr(test, ts(as = "ErrorCode"))]
        pub code: Word<ErrorCode> = "code",
        /// For people, in English.
        pub message: String = "message",
        /// Whether the same request may succeed later.
        pub retryable: bool = "retryable",
    }
}

impl ErrorBody {
    /// Returns an error that the same request would meet again.
    pub fn fatal(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody { code: code.into(), message: message.into(), retryable: false }
    }

    /// Returns an error that may be gone when the request is made again.
    pub fn retryable(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody { code: code.into(), message: message.into(), retryable: true }
    }
}

/// Defines close codes and the list of all of them.
macro_rules! close_codes {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $value:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum $name { $($(#[$doc])* $value = $code,)+ }

        #[cfg(test)]
        impl $name {
            pub(super) const ALL: &'static [Self] = &[$($name::$value),+];
        }
    };
}

close_codes! {
    /// WebSocket close codes: the standard's (RFC 6455, section 7.4.1) and the contract's own.
    pub enum CloseCode {
        /// Nothing is wrong.
        Normal = 1000,
        /// The client sent a binary frame.
        UnsupportedData = 1003,
        /// The client broke the rules; the reason says which.
        PolicyViolation = 1008,
        /// The client sent a frame above 2 MiB.
        MessageTooBig = 1009,
        /// The thread's store does not answer; connect again later.
        InternalError = 1011,
        /// The credential is missing, bad or expired.
        Unauthenticated = 4401,
        /// The caller may not use this session.
        Forbidden = 4403,
        /// The session was deleted.
        SessionDeleted = 4410,
        /// Too many sockets, frames, requests or bytes.
        TooMany = 4429,
    }
}
