import type { ErrorCode } from "./protocol.ts";

/** The contract's codes, and two of the client: the thread was closed or failed, or there was no answer. */
export type ThreadErrorCode = ErrorCode | "CLOSED" | "UNREACHABLE";

/** Creates an error that a retry does not fix. */
export const fatal = (code: ThreadErrorCode, message: string) => new ThreadError({ code, message, retryable: false });

/** Why a message was refused or a request failed. */
export class ThreadError extends Error {
  override readonly name = "ThreadError";
  readonly code: ThreadErrorCode;
  /** Whether a retry may succeed later. */
  readonly retryable: boolean;

  constructor(body: { code: ThreadErrorCode; message: string; retryable: boolean }) {
    super(body.message);
    this.code = body.code;
    this.retryable = body.retryable;
  }
}
