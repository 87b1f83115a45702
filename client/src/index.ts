export type { ConnectionInfo, ThreadStatus } from "./connection.ts";
export { type DiagnosticsReport, type DiagnosticsCheck, diagnose } from "./diagnose.ts";
export type { EnvironmentOptions, Page, ServerOptions, ThreadStorage, Timers, Token, WebSocketLike } from "./environment.ts";
export { ThreadError, type ThreadErrorCode } from "./error.ts";
export type { ForkOptions } from "./fork.ts";
export {
  DATA_URL_BYTES_MAX,
  FILE_BYTES_MAX,
  type FileBlock,
  type FileOptions,
  type ServerConfig,
  type UploadOptions,
  type UploadProgress,
  exportMessages,
  fetchConfig,
  fetchFile,
  inlineFile,
  uploadFile,
} from "./files.ts";
export { exactJson } from "./json.ts";
export { undelivered } from "./outbox.ts";
export * from "./protocol.ts";
export type { TransferOptions } from "./retry.ts";
export type { SessionChange } from "./session.ts";
export { subjectOf } from "./subject.ts";
export { type ListedSession, type SessionList, type SessionListOptions, type SessionListSnapshot, createSessionList } from "./sessions.ts";
export { createThread } from "./thread.ts";
export type * from "./thread_types.ts";
export { type TurnState, textOf } from "./transcript.ts";
export type { FileBytes } from "./transfer.ts";
export type { Turn, TurnResult } from "./turn.ts";
