/** Parts as applications and the AI SDK say them, as the chunks that the core reads: those of the UI message stream, and whole blocks. */
import type { Part } from "./types.ts";
export type Chunk = {
    type: string;
} & Record<string, unknown>;
/** What remembers a call's name until its first piece has been told. */
export interface Memory {
    begun: Set<string>;
}
/** The chunks of a part; none if it brings nothing. */
export declare function chunksOf(part: Part | {
    type: string;
}, memory: Memory): Chunk[];
export declare const finish: (reason: unknown, messageMetadata?: object) => Chunk;
/** Tokens as the core names them: versions of the AI SDK tell the parts in different places. */
export declare function usageOf(usage: unknown): object;
