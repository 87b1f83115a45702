//! The contract's error and close codes.

use serde::Serialize;

/// Why something was refused or failed, as clients see it in frames and HTTP bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    InvalidMessage,
    MessageTooLarge,
    ThreadMismatch,
    DuplicateRequest,
    RateLimited,
    Busy,
    Unauthenticated,
    Forbidden,
    NotFound,
    AgentError,
    AgentTimeout,
    Interrupted,
    StorageError,
    Internal,
}

impl ErrorCode {
    pub const ALL: [ErrorCode; 14] = [
        ErrorCode::InvalidMessage,
        ErrorCode::MessageTooLarge,
        ErrorCode::ThreadMismatch,
        ErrorCode::DuplicateRequest,
        ErrorCode::RateLimited,
        ErrorCode::Busy,
        ErrorCode::Unauthenticated,
        ErrorCode::Forbidden,
        ErrorCode::NotFound,
        ErrorCode::AgentError,
        ErrorCode::AgentTimeout,
        ErrorCode::Interrupted,
        ErrorCode::StorageError,
        ErrorCode::Internal,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::InvalidMessage => "INVALID_MESSAGE",
            ErrorCode::MessageTooLarge => "MESSAGE_TOO_LARGE",
            ErrorCode::ThreadMismatch => "THREAD_MISMATCH",
            ErrorCode::DuplicateRequest => "DUPLICATE_REQUEST",
            ErrorCode::RateLimited => "RATE_LIMITED",
            ErrorCode::Busy => "BUSY",
            ErrorCode::Unauthenticated => "UNAUTHENTICATED",
            ErrorCode::Forbidden => "FORBIDDEN",
            ErrorCode::NotFound => "NOT_FOUND",
            ErrorCode::AgentError => "AGENT_ERROR",
            ErrorCode::AgentTimeout => "AGENT_TIMEOUT",
            ErrorCode::Interrupted => "INTERRUPTED",
            ErrorCode::StorageError => "STORAGE_ERROR",
            ErrorCode::Internal => "INTERNAL",
        }
    }
}

/// An error as it goes over the wire. The message says what was wrong and what would be right,
/// and never carries a secret, a stack or a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ErrorBody {
    pub code: ErrorCode,
    pub message: String,
    pub retryable: bool,
}

impl ErrorBody {
    /// An error that the same request would meet again.
    pub fn fatal(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody { code, message: message.into(), retryable: false }
    }

    /// An error that may be gone when the request is made again.
    pub fn retryable(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody { code, message: message.into(), retryable: true }
    }
}

/// WebSocket close codes: the standard's (RFC 6455, section 7.4.1) and the contract's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
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
