/** A conversation thread of the application's own: a Durable Object class to extend. */
import { DurableObject } from "cloudflare:workers";
import { type Take } from "./deliver.ts";
import { type Answer, type Block, type JsonValue, type Message, type Turn, type TurnEnded, type TurnWaiting } from "./types.ts";
/** What the core calls. */
export interface Own {
    call(turn: string, take: Take, signal: AbortSignal): Promise<void>;
    happened(event: string): void;
}
/** What can be said to a thread. */
export type Content = string | Block[];
/** What was accepted. */
export interface Accepted {
    requestId: string;
    answerId: string;
    cursor: string;
}
export declare abstract class Thread<Env = unknown> extends DurableObject<Env> {
    #private;
    constructor(ctx: DurableObjectState, env: Env);
    /** Answers a message. See {@link Answer} for all that it may return. */
    abstract onTurn(turn: Turn): Answer | Promise<Answer>;
    /** Called before `onTurn`. It may refuse by throwing a {@link PublicError}. */
    beforeTurn?(turn: Turn): void | Promise<void>;
    onSessionCreated?(): void | Promise<void>;
    onTurnEnded?(turn: TurnEnded): void | Promise<void>;
    /** Somebody should learn that a call waits for them. */
    onWaiting?(turn: TurnWaiting): void | Promise<void>;
    onDelete?(): void | Promise<void>;
    /** Names a session after its first answer. */
    title?(messages: Message[]): string | undefined | Promise<string | undefined>;
    /** A time that {@link schedule} was given has come. What throws is tried again. */
    onSchedule?(name: string, data: JsonValue): void | Promise<void>;
    fetch(request: Request): Promise<Response>;
    /** Shows an answer that no turn asked for. Resolves once it is accepted. */
    append(content: Content, options?: {
        requestId?: string;
        metadata?: Record<string, JsonValue>;
    }): Promise<Accepted>;
    /** Sends a user's message from the server. Resolves once it is accepted. */
    send(content: Content, options?: {
        requestId?: string;
        metadata?: Record<string, JsonValue>;
    }): Promise<Accepted>;
    /** Cancels one turn, or all. */
    cancel(requestId?: string): Promise<void>;
    /** Sends data to all that are connected. It is not kept. */
    broadcast(name: string, data: JsonValue): void;
    /** Calls `onSchedule` at that time, also after a crash. Returns the task's id, for {@link unschedule}. */
    schedule(at: Date | number, name: string, data?: JsonValue): string;
    unschedule(id: string): void;
}
