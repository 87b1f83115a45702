/** Hands on what an application gives for a turn, whatever its form, until it ends or nobody wants more. */
import { chunksOf, finish, usageOf } from "./parts.js";
import { PublicError } from "./types.js";
/** Ways in which the bodies of other APIs begin. */
const BODIES = [
    ["anthropic", /"type"\s*:\s*"(message_start|ping)"/],
    ["responses", /"type"\s*:\s*"response\./],
    ["openai", /"choices"\s*:|"object"\s*:\s*"chat\.completion/],
    ["ai-sdk", /"type"\s*:\s*"/],
    ["workers-ai", /"response"\s*:|\[DONE\]/],
];
/** An event stream begins with a field or a comment; anything else is text. */
const IS_EVENTS = /^\s*(data|event|id|retry)?:/;
const SNIFFED_BYTES_MAX = 65_536;
export class Delivery {
    #take;
    #signal;
    #memory = { begun: new Set() };
    #isFinished = false;
    #isWanted = true;
    constructor(take, signal) {
        this.#take = take;
        this.#signal = signal;
    }
    get isOver() {
        return !this.#isWanted || this.#signal.aborted;
    }
    /** All of an answer. Throws what the application threw. */
    async answer(answer) {
        if (typeof answer === "string")
            this.#say(answer);
        else if (answer instanceof Response)
            return this.#response(answer);
        else if (hasUiStream(answer))
            await this.#uiStream(answer);
        else if (answer instanceof ReadableStream)
            return this.#stream(answer);
        else if (isIterable(answer))
            await this.#each(answer, (value) => this.#yielded(value));
        else if (answer !== null && answer !== undefined)
            throw new TypeError(`onTurn returned ${shown(answer)}; it returns text, a stream, a Response, what streamText returns, or nothing`);
        this.#end();
    }
    fail(thrown) {
        this.#hand(4, thrown instanceof PublicError ? thrown.message : undefined);
    }
    #end() {
        if (!this.#isFinished)
            this.#chunk(finish("stop"));
        this.#hand(3, undefined);
    }
    #hand(kind, value) {
        if (this.isOver)
            return;
        this.#isWanted = this.#take(kind, value);
    }
    #say(text) {
        if (text !== "")
            this.#chunk({ type: "text-delta", id: "text", delta: text });
    }
    #chunk(chunk) {
        this.#isFinished ||= chunk.type === "finish" || chunk.type === "abort";
        this.#hand(0, JSON.stringify(chunk));
    }
    #yielded(value) {
        if (typeof value === "string")
            this.#say(value);
        else if (isPart(value)) {
            if (value.type === "error")
                throw value["error"] ?? new Error(String(value["errorText"]));
            for (const chunk of chunksOf(value, this.#memory))
                this.#chunk(chunk);
        }
        else
            throw new TypeError(`onTurn yielded ${shown(value)}; it yields text, bytes, and parts, which have a type`);
    }
    /** The AI SDK's own stream for its clients lacks no part. */
    async #uiStream(result) {
        let thrown;
        const options = {
            sendReasoning: true,
            sendSources: true,
            onError: (error) => {
                // A tool that fails is no failure of the answer: its own words go to the model and to people.
                thrown = { error };
                return error instanceof Error ? error.message : String(error);
            },
            messageMetadata: ({ part }) => metadataOf(part),
        };
        const stream = result.toUIMessageStream(options);
        await this.#each(stream, (chunk) => {
            const it = chunk;
            if (it.type === "error")
                throw thrown?.error ?? new Error(String(it["errorText"]));
            this.#chunk(it);
        });
    }
    async #response(response) {
        if (!response.ok)
            throw new Error(`onTurn returned a Response with the status ${response.status}`);
        if (response.body === null)
            return this.#end();
        return this.#stream(response.body);
    }
    async #stream(stream) {
        let body;
        await this.#each(stream, (value) => {
            if (!(value instanceof Uint8Array))
                return this.#yielded(value);
            body ??= new Body((kind, bytes) => this.#hand(kind, bytes), (text) => this.#say(text));
            body.push(value);
        });
        if (body?.finish() === true)
            this.#hand(3, undefined);
        else
            this.#end();
    }
    /** As soon as the turn is over it is let go of, whether it listens or not. */
    async #each(source, take) {
        const iterator = iteratorOf(source);
        const over = new Promise((resolve) => {
            if (this.#signal.aborted)
                resolve(undefined);
            this.#signal.addEventListener("abort", () => resolve(undefined), { once: true });
        });
        let text = new TextDecoder();
        let isDone = false;
        try {
            while (!this.isOver) {
                const step = await Promise.race([iterator.next(), over]);
                if (step === undefined)
                    return;
                if (step.done) {
                    isDone = true;
                    return;
                }
                const isBytes = step.value instanceof Uint8Array && !(source instanceof ReadableStream);
                take(isBytes ? text.decode(step.value, { stream: true }) : step.value);
            }
        }
        finally {
            // Without waiting: it may be in the middle of something that never ends.
            if (!isDone)
                void Promise.resolve(iterator.return?.()).catch(() => { });
        }
    }
}
/** A body of bytes: the events of an API, or plain text. */
class Body {
    #hand;
    #say;
    #decoder = new TextDecoder();
    #begun = [];
    #isText = false;
    constructor(hand, say) {
        this.#hand = hand;
        this.#say = say;
    }
    push(bytes) {
        if (this.#begun === undefined)
            return this.#pass(bytes);
        this.#begun.push(bytes);
        this.#recognise(false);
    }
    /** Whether it was the events of an API, whose own end counts. */
    finish() {
        this.#recognise(true);
        return !this.#isText;
    }
    #recognise(isWhole) {
        if (this.#begun === undefined)
            return;
        const size = this.#begun.reduce((sum, { length }) => sum + length, 0);
        const begins = new TextDecoder().decode(concat(this.#begun, size));
        const isEvents = IS_EVENTS.test(begins);
        const kind = isEvents ? BODIES.find(([, pattern]) => pattern.test(begins))?.[0] : undefined;
        const isKnown = kind !== undefined || isWhole || size > SNIFFED_BYTES_MAX || (!isEvents && begins.trim().length > 8);
        if (!isKnown)
            return;
        this.#isText = !isEvents;
        if (isEvents)
            this.#hand(2, kind ?? "ai-sdk");
        const begun = this.#begun;
        this.#begun = undefined;
        for (const bytes of begun)
            this.#pass(bytes);
    }
    #pass(bytes) {
        if (this.#isText)
            this.#say(this.#decoder.decode(bytes, { stream: true }));
        else
            this.#hand(1, bytes);
    }
}
function concat(pieces, size) {
    const whole = new Uint8Array(size);
    let at = 0;
    for (const piece of pieces) {
        whole.set(piece, at);
        at += piece.length;
    }
    return whole;
}
/** Figures that the AI SDK's stream for clients leaves out. */
function metadataOf(part) {
    if (part.type === "finish-step") {
        const model = part["response"]?.modelId;
        return model === undefined ? undefined : { model };
    }
    return part.type === "finish" && part["totalUsage"] !== undefined ? { usage: usageOf(part["totalUsage"]) } : undefined;
}
function iteratorOf(source) {
    return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
}
const isIterable = (value) => typeof value === "object" && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);
const hasUiStream = (value) => typeof value === "object" && value !== null && "toUIMessageStream" in value && typeof value.toUIMessageStream === "function";
const isPart = (value) => typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
const shown = (value) => (typeof value === "object" && value !== null ? `an object with ${Object.keys(value).join(", ") || "no fields"}` : String(value));
