/** A conversation thread of the application's own: a Durable Object class to extend. */
import { DurableObject } from "cloudflare:workers";
import { SessionDO } from "./core.js";
import { Delivery } from "./deliver.js";
import { Schedule } from "./schedule.js";
import { PublicError } from "./types.js";
/** The server itself may do what an owner may. */
const IDENTITY = encodeURIComponent(JSON.stringify({ granted: "owner", mayCreate: true }));
const TAG = "bobbin";
const TITLE_CHARS_MAX = 200;
export class Thread extends DurableObject {
    #core;
    #schedule;
    constructor(ctx, env) {
        super(ctx, env);
        this.#schedule = new Schedule(ctx.storage);
        this.#core = new SessionDO(stateOf(ctx, this.#schedule), env, {
            call: (turn, take, signal) => this.#call(turn, take, signal),
            happened: (event) => this.#happened(JSON.parse(event)),
        });
        this.#takeSockets();
    }
    fetch(request) {
        return this.#core.fetch(request);
    }
    /** Shows an answer that no turn asked for. Resolves once it is accepted. */
    append(content, options = {}) {
        return this.#post({ requestId: crypto.randomUUID(), ...options, role: "assistant", content });
    }
    /** Sends a user's message from the server. Resolves once it is accepted. */
    send(content, options = {}) {
        return this.#post({ ...options, content });
    }
    /** Cancels one turn, or all. */
    async cancel(requestId) {
        await this.#ask("POST", "/cancel", requestId === undefined ? {} : { requestId });
    }
    /** Sends data to all that are connected. It is not kept. */
    broadcast(name, data) {
        this.#core.broadcast(name, JSON.stringify(data));
    }
    /** Calls `onSchedule` at that time, also after a crash. Returns the task's id, for {@link unschedule}. */
    schedule(at, name, data) {
        return this.#schedule.add(Number(at), name, data);
    }
    unschedule(id) {
        this.#schedule.remove(id);
    }
    async #call(json, take, signal) {
        const turn = { ...JSON.parse(json), signal };
        const delivery = new Delivery(take, signal);
        try {
            await this.beforeTurn?.(turn);
            if (!signal.aborted)
                await delivery.answer(await this.onTurn(turn));
        }
        catch (thrown) {
            if (delivery.isOver)
                return;
            if (!(thrown instanceof PublicError))
                this.#report("agent_failed", thrown, { requestId: turn.requestId });
            delivery.fail(thrown);
        }
    }
    #happened(event) {
        const hook = this.#hookOf(event);
        if (hook)
            this.ctx.waitUntil(hook().catch((thrown) => this.#report("hook_failed", thrown, { hook: event.event })));
    }
    #hookOf(event) {
        switch (event.event) {
            case "session_created":
                return async () => this.onSessionCreated?.();
            case "session_deleted":
                return async () => this.onDelete?.();
            case "waiting":
                return async () => this.onWaiting?.(event);
            case "turn_ended":
                return async () => {
                    await this.onTurnEnded?.(event);
                    if (this.title && event["status"] === "complete")
                        await this.#giveTitle();
                };
            default:
                return undefined;
        }
    }
    async #giveTitle() {
        const session = (await this.#ask("GET", ""));
        if (session.title !== null || session.messageCount > 2)
            return;
        const { messages } = (await this.#ask("GET", "/messages"));
        const title = await this.title?.(messages);
        if (title)
            await this.#ask("PATCH", "", { title: [...title].slice(0, TITLE_CHARS_MAX).join("") });
    }
    async #post(body) {
        return (await this.#ask("POST", "/messages", body));
    }
    async #ask(method, path, body) {
        const url = `https://thread/sessions/${this.ctx.id.name ?? ""}${path}`;
        const headers = { "x-bobbin-identity": IDENTITY, "content-type": "application/json" };
        const response = await this.#core.fetch(new Request(url, { method, headers, ...(body && { body: JSON.stringify(body) }) }));
        const answer = (await response.json());
        if (!response.ok)
            throw new PublicError(answer.error?.message ?? `the thread answered ${response.status}`);
        return answer;
    }
    #report(event, thrown, more) {
        const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
        console.error(JSON.stringify({ level: "error", sessionId: this.ctx.id.name, event, ...more, why }));
    }
    /** On the object itself, so that a class which has sockets and times of its own need not hand on ours. */
    #takeSockets() {
        const own = (name) => {
            const application = this[name];
            return (socket, ...rest) => {
                if (this.ctx.getTags(socket).includes(TAG))
                    return this.#core[name](socket, ...rest);
                return typeof application === "function" ? application.call(this, socket, ...rest) : undefined;
            };
        };
        for (const name of ["webSocketMessage", "webSocketClose", "webSocketError"])
            Object.defineProperty(this, name, { value: own(name) });
        Object.defineProperty(this, "alarm", { value: () => this.#alarm() });
    }
    async #alarm() {
        const now = Date.now();
        if (this.#schedule.isThreads(now)) {
            this.#schedule.threadWoke();
            this.#core.alarm();
        }
        let failed;
        for (const { id, name, data } of this.#schedule.due(now)) {
            try {
                await this.onSchedule?.(name, JSON.parse(data));
                this.#schedule.remove(id);
            }
            catch (thrown) {
                this.#report("schedule_failed", thrown, { name });
                failed = { thrown };
            }
        }
        // The platform tries a failed alarm again, later each time.
        if (failed)
            throw failed.thrown;
        await this.#schedule.rearm();
    }
}
/** The object's state, but for its alarm. */
function stateOf(ctx, schedule) {
    return {
        id: ctx.id,
        storage: schedule.ofThread,
        waitUntil: (promise) => ctx.waitUntil(promise),
        acceptWebSocket: (socket, tags) => ctx.acceptWebSocket(socket, tags),
        getWebSockets: (tag) => ctx.getWebSockets(tag),
        getTags: (socket) => ctx.getTags(socket),
        setWebSocketAutoResponse: (pair) => ctx.setWebSocketAutoResponse(pair),
    };
}
