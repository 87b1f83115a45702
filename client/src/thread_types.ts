// What a thread takes, shows and does.
import type { ConnectionInfo, ThreadStatus } from "./connection.ts";
import type { EnvironmentOptions, ServerOptions, ThreadStorage } from "./environment.ts";
import type { ForkOptions } from "./fork.ts";
import type { Content, Message, ServerFrame, Session } from "./protocol.ts";
import type { SessionChange } from "./session.ts";
import type { TurnState } from "./transcript.ts";
import type { Turn } from "./turn.ts";

export type ThreadOptions = ServerOptions &
  EnvironmentOptions & {
    /** Which session; a fresh one by default. */
    sessionId?: string | undefined;
    /** Where unacknowledged messages outlive the page, for example `localStorage`. */
    storage?: ThreadStorage | undefined;
    /** Whose messages they are: nobody else is shown them, or sends them. Default: the token's subject. */
    subject?: string | undefined;
    /** Whether to connect at once. Default: true. */
    connect?: boolean | undefined;
    /**
     * What is awaited rejects with `UNREACHABLE` when there was no connection for so long, and a message that has not
     * left is taken back. Default: 60,000, and `Infinity` in a page, where it waits and is seen to wait.
     */
    connectTimeoutMs?: number | undefined;
  };

export type TurnOptions = {
  /** Your own name for the turn, unique in its thread for ever: the same one again sends nothing twice. */
  requestId?: string;
  /** Cancels the turn when it aborts; a message that has not left by then is never sent. The result is `cancelled`. */
  signal?: AbortSignal | undefined;
};

export type SendOptions = TurnOptions & {
  metadata?: Record<string, unknown>;
  /**
   * The id of the message that its writer has seen last: if that is not part of the conversation any more, the message
   * is refused with `CONFLICT`. Default: the last one that this thread knows. `null` is whatever stands there.
   */
  after?: string | null;
};

/** What is known of a thread. What did not change stays the same object. */
export type ThreadSnapshot = {
  readonly sessionId: string;
  readonly status: ThreadStatus;
  /** The reason for the status, in words for a person. */
  readonly reason: string;
  readonly connection: ConnectionInfo;
  /** Null until the first message or change. */
  readonly session: Session | null;
  /** Messages that the server has, in its order. */
  readonly messages: readonly Message[];
  /** Turns that are not over, first the ones that the server has. */
  readonly turns: readonly TurnState[];
  /** The version that was asked for last and is not shown yet. */
  readonly selecting: string | null;
  /** Whether `loadEarlier` has more to load. */
  readonly hasEarlier: boolean;
  /** False until the server was heard of for the first time. */
  readonly isLoaded: boolean;
};

/** Data for whoever is connected. Nothing keeps it, and nobody is sent it again. */
export type TransientData = Omit<Extract<ServerFrame, { type: "data" }>, "type">;

export type Thread = {
  readonly sessionId: string;
  send(content: Content, options?: SendOptions): Turn;
  /** Sends a new version of the message of a turn. What followed the old one is left with it, and its turns are cancelled. */
  edit(requestId: string, content: Content, options?: SendOptions): Turn;
  /** Asks for another answer to the question of a turn, also of one that failed, was cancelled or interrupted. */
  regenerate(requestId: string, options?: TurnOptions): Turn;
  /**
   * Shows the path through this message, and after it the newest versions, to everybody. Resolves when it is shown; rejects if there is no such message, or
   * if another version was chosen meanwhile.
   */
  select(messageId: string): Promise<void>;
  /** Begins a session of one's own with a copy of this one, up to a message. Resolves with its id. */
  fork(options?: ForkOptions): Promise<string>;
  /** Cancels one turn, or all. What is over or unknown is left alone. */
  cancel(requestId?: string): void;
  /** Resolves when the server has the change, rejects if it refused it. */
  updateSession(change: SessionChange): Promise<void>;
  /**
   * Says whether a call that waits for it may be carried out, and why. Resolves when the thread shows it, rejects if
   * somebody else has said otherwise before, or the turn is over.
   */
  decide(requestId: string, toolUseId: string, approved: boolean, reason?: string): Promise<void>;
  /** Gives the result of a tool that runs at the client: any JSON. Resolves and rejects like `decide`. */
  provide(requestId: string, toolUseId: string, result: unknown, isError?: boolean): Promise<void>;
  /** Loads the page of messages before the first, of up to `limit` (at most 200, default 50); resolves with whether there are more. */
  loadEarlier(limit?: number): Promise<boolean>;
  getSnapshot(): ThreadSnapshot;
  /** Calls back after every change, until the returned function is called. */
  subscribe(listener: () => void): () => void;
  /** Calls back with the data that the agent, or the application, has for whoever is connected. */
  onData(listener: (data: TransientData) => void): () => void;
  /** Connects after `close`, `failed` or `connect: false`; while waiting, tries again at once. */
  open(): void;
  /** Leaves the thread. Turns go on at the server; what was not acknowledged is kept in the storage. */
  close(): void;
  /** Closes this thread and opens another, by default a fresh one, with the same options. */
  switchTo(sessionId?: string): Thread;
};
