/** The application's own times. The object has one alarm, which the thread and the application share. */
const TABLE = "CREATE TABLE IF NOT EXISTS bobbin_schedule (id TEXT PRIMARY KEY, at INTEGER NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL) STRICT";
export class Schedule {
    #storage;
    /** When the thread wants to be woken. */
    #threads = null;
    #hasTable;
    constructor(storage) {
        this.#storage = storage;
    }
    /** The storage as the thread sees it: its alarm is its own. */
    get ofThread() {
        const storage = this.#storage;
        return {
            sql: storage.sql,
            transactionSync: (work) => storage.transactionSync(work),
            setAlarm: (at) => this.#threadWants(at),
            deleteAlarm: () => this.#threadWants(null),
        };
    }
    /** Adds a task, and returns its id. */
    add(at, name, data) {
        if (!Number.isFinite(at))
            throw new TypeError("schedule takes a Date, or milliseconds since 1970");
        const id = crypto.randomUUID();
        this.#storage.sql.exec(TABLE);
        this.#hasTable = true;
        this.#storage.sql.exec("INSERT INTO bobbin_schedule (id, at, name, data) VALUES (?, ?, ?, ?)", id, Math.trunc(at), name, JSON.stringify(data ?? null));
        void this.#setAlarm();
        return id;
    }
    remove(id) {
        if (!this.#isThere())
            return;
        this.#storage.sql.exec("DELETE FROM bobbin_schedule WHERE id = ?", id);
        void this.#setAlarm();
    }
    /** What is due. Each task is gone once it has been taken and `done` was called, so that a crash repeats it. */
    due(now) {
        if (!this.#isThere())
            return [];
        return this.#storage.sql.exec("SELECT id, at, name, data FROM bobbin_schedule WHERE at <= ? ORDER BY at", now).toArray();
    }
    /** Whether the thread's own time has come. */
    isThreads(now) {
        // After the object has slept, nothing tells whose time it is.
        return this.#next() === undefined || this.#threads === null || this.#threads <= now;
    }
    /** The alarm went off: what is left is set again. */
    async rearm() {
        await this.#setAlarm();
    }
    threadWoke() {
        this.#threads = null;
    }
    #threadWants(at) {
        this.#threads = at;
        return this.#setAlarm();
    }
    #setAlarm() {
        const next = this.#next();
        const times = [this.#threads, next].filter((at) => at !== null && at !== undefined);
        return times.length === 0 ? this.#storage.deleteAlarm() : this.#storage.setAlarm(Math.min(...times));
    }
    #next() {
        if (!this.#isThere())
            return undefined;
        const [row] = this.#storage.sql.exec("SELECT min(at) AS at FROM bobbin_schedule").toArray();
        return row?.["at"] ?? undefined;
    }
    #isThere() {
        this.#hasTable ??= this.#storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'bobbin_schedule'").toArray().length > 0;
        return this.#hasTable;
    }
}
