// The options, the snapshot and the methods of a thread.
import type { ConnectionInfo, ThreadStatus } from "./connection.ts";
import type { EnvironmentOptions, ServerOptions, ThreadStorage } from "./environment.ts";
import type { ForkOptions } from "./fork.ts";
import type { Content, Message, ServerFrame, Session } from "./protocol.ts";
import type { SessionChange } from "./session.ts";
import type { TurnState } from "./transcript.ts";
import type { Turn } from "./turn.ts";

export type ThreadOptions = ServerOptions &
  EnvironmentOptions & {
    /** The session's id. Default: a new id. */
    sessionId?: string | undefined;
    /** Where unacknowledged messages survive a reload, for example `localStorage`. */
    storage?: ThreadStorage | undefined;
    /** Owner of the messages in the storage: for any other subject they are neither shown nor sent. Default: the token's subject. */
    subject?: string | undefined;
    /** Whether to connect at once. Default: true. */
    connect?: boolean | undefined;
    /**
     * After this time without a connection, awaited promises reject with `UNREACHABLE`, and unsent messages are withdrawn.
     * Default: 60,000, and `Infinity` in a page, which shows that messages wait.
     */
    connectTimeoutMs?: number | undefined;
  };

export type TurnOptions = {
  /** Your id for the turn, never reused in its thread: the same id sends nothing twice. */
  requestId?: string;
  /** Cancels the turn when it aborts; a message that was not sent by then is never sent. The result is `cancelled`. */
  signal?: AbortSignal | undefined;
};

export type SendOptions = TurnOptions & {
  metadata?: Record<string, unknown>;
  /**
   * The id of the last message that the writer saw: if it is no longer part of the conversation, the message is refused
   * with `CONFLICT`. Default: the last message that this thread has. With `null` there is no such check.
   */
  after?: string | null;
};

/** The state of a thread. Unchanged parts stay the same objects. */
export type ThreadSnapshot = {
  readonly sessionId: string;
  readonly status: ThreadStatus;
  /** The reason for the status, in words for a person. */
  readonly reason: string;
  readonly connection: ConnectionInfo;
  /** Null until the first message or change. */
  readonly session: Session | null;
  /** The server's messages, in its order. */
  readonly messages: readonly Message[];
  /** Unfinished turns, those that the server has first. */
  readonly turns: readonly TurnState[];
  /** The version that was selected last and is not shown yet. */
  readonly selecting: string | null;
  /** Whether `loadEarlier` has more to load. */
  readonly hasEarlier: boolean;
  /** False until the first data from the server. */
  readonly isLoaded: boolean;
};

/** Data for connected clients. It is not stored, and not sent again. */
export type TransientData = Omit<Extract<ServerFrame, { type: "data" }>, "type">;

export type Thread = {
  readonly sessionId: string;
  send(content: Content, options?: SendOptions): Turn;
  /** Sends a new version of a turn's message. The messages after the old version leave the current path, and their unfinished turns are cancelled. */
  edit(requestId: string, content: Content, options?: SendOptions): Turn;
  /** Requests another answer to the question of a turn, also of one that failed, was cancelled or interrupted. */
  regenerate(requestId: string, options?: TurnOptions): Turn;
  /**
   * Makes the path through this message, and the newest versions after it, current for everybody. Resolves when it is shown;
   * rejects if there is no such message, or if another version was selected meanwhile.
   */
  select(messageId: string): Promise<void>;
  /** Creates a session of the caller with a copy of this one, up to a message. Resolves with its id. */
  fork(options?: ForkOptions): Promise<string>;
  /** Cancels one turn, or all. Has no effect on finished or unknown turns. */
  cancel(requestId?: string): void;
  /** Changes the session. Resolves when the server has stored the change, rejects if it refused it. */
  updateSession(change: SessionChange): Promise<void>;
  /**
   * Approves or denies a waiting call, with an optional reason. Resolves when the thread shows the decision, rejects if
   * somebody else has decided differently before, or the turn is over.
   */
  decide(requestId: string, toolUseId: string, approved: boolean, reason?: string): Promise<void>;
  /** Sends the result of a tool that runs at the client: any JSON. Resolves and rejects like `decide`. */
  provide(requestId: string, toolUseId: string, result: unknown, isError?: boolean): Promise<void>;
  /** Loads up to `limit` (at most 200, default 50) messages before the first; resolves with whether there are more. */
  loadEarlier(limit?: number): Promise<boolean>;
  getSnapshot(): ThreadSnapshot;
  /** Calls back after every change, until the returned function is called. */
  subscribe(listener: () => void): () => void;
  /** Calls back with data that the agent, or the application, sends to connected clients. */
  onData(listener: (data: TransientData) => void): () => void;
  /** Connects after `close`, `failed` or `connect: false`; while the thread waits to reconnect, retries at once. */
  open(): void;
  /** Disconnects. Turns continue at the server; unacknowledged messages stay in the storage. */
  close(): void;
  /** Closes this thread and opens another with the same options; by default a new session. */
  switchTo(sessionId?: string): Thread;
};
