import { type Answer } from "./types.ts";
/** Takes something, and says whether more is wanted. Kinds: 0 a chunk, 1 bytes of a body, 2 the kind of that body, 3 the end, 4 a failure. */
export type Take = (kind: number, value: unknown) => boolean;
export declare class Delivery {
    #private;
    constructor(take: Take, signal: AbortSignal);
    get isOver(): boolean;
    /** All of an answer. Throws what the application threw. */
    answer(answer: Answer): Promise<void>;
    fail(thrown: unknown): void;
}
