//! The contract's error and close codes.

use super::Word;
use super::objects::object;
use super::words::words;

words! {
    /// Why something was refused or failed, as clients see it in frames and HTTP bodies.
    pub enum ErrorCode {
        /// The frame or request is not of the contract's form.
        InvalidMessage = "INVALID_MESSAGE",
        /// It is larger than a limit allows.
        MessageTooLarge = "MESSAGE_TOO_LARGE",
        /// The frame names another thread than its socket's.
        ThreadMismatch = "THREAD_MISMATCH",
        /// The `requestId` was used for another message.
        DuplicateRequest = "DUPLICATE_REQUEST",
        /// Too much in too short a time.
        RateLimited = "RATE_LIMITED",
        /// Too many turns wait.
        Busy = "BUSY",
        /// There is no credential, or it does not hold.
        Unauthenticated = "UNAUTHENTICATED",
        /// The caller's role does not allow this.
        Forbidden = "FORBIDDEN",
        /// There is nothing of that name, or not for the caller.
        NotFound = "NOT_FOUND",
        /// The agent failed.
        AgentError = "AGENT_ERROR",
        /// The agent was silent for too long.
        AgentTimeout = "AGENT_TIMEOUT",
        /// The object stopped in the middle of the answer.
        Interrupted = "INTERRUPTED",
        /// The store could not be read or written.
        StorageError = "STORAGE_ERROR",
        /// Something failed that should not.
        Internal = "INTERNAL",
    }
}

object! {
    /// An error as it goes over the wire. The message says what was wrong and what would be right,
    /// and never carries a secret, a stack or a path.
    #[derive(Eq)]
    pub struct ErrorBody {
        #[cfg_attr(test, ts(as = "ErrorCode"))]
        pub code: Word<ErrorCode> = "code",
        /// For people, in English.
        pub message: String = "message",
        /// Whether the same request may work later.
        pub retryable: bool = "retryable",
    }
}

impl ErrorBody {
    /// An error that the same request would meet again.
    pub fn fatal(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody { code: code.into(), message: message.into(), retryable: false }
    }

    /// An error that may be gone when the request is made again.
    pub fn retryable(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody { code: code.into(), message: message.into(), retryable: true }
    }
}

/// Defines close codes and the list of all of them.
macro_rules! close_codes {
    ($(#[$meta:meta])* pub enum $name:ident { $($value:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum $name { $($value = $code,)+ }

        #[cfg(test)]
        impl $name {
            pub(super) const ALL: &'static [Self] = &[$($name::$value),+];
        }
    };
}

close_codes! {
    /// WebSocket close codes: the standard's (RFC 6455, section 7.4.1) and the contract's own.
    pub enum CloseCode {
        Normal = 1000,
        UnsupportedData = 1003,
        PolicyViolation = 1008,
        MessageTooBig = 1009,
        InternalError = 1011,
        Unauthenticated = 4401,
        Forbidden = 4403,
        SessionDeleted = 4410,
        TooMany = 4429,
    }
}
