import type { ErrorCode } from "./protocol.ts";

/** The contract's codes, and the client's own: the thread was closed or failed, or no answer came. */
export type ThreadErrorCode = ErrorCode | "CLOSED" | "UNREACHABLE";

/** An error that trying again does not mend. */
export const fatal = (code: ThreadErrorCode, message: string) => new ThreadError({ code, message, retryable: false });

/** Why a message was not taken or a request failed. */
export class ThreadError extends Error {
  override readonly name = "ThreadError";
  readonly code: ThreadErrorCode;
  /** Whether the same may succeed later. */
  readonly retryable: boolean;

  constructor(body: { code: ThreadErrorCode; message: string; retryable: boolean }) {
    super(body.message);
    this.code = body.code;
    this.retryable = body.retryable;
  }
}
