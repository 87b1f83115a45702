/** The application's own times. The object has one alarm, which the thread and the application share. */

interface Task {
  id: string;
  at: number;
  name: string;
  data: string;
}

const TABLE = "CREATE TABLE IF NOT EXISTS bobbin_schedule (id TEXT PRIMARY KEY, at INTEGER NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL) STRICT";

export class Schedule {
  readonly #storage: DurableObjectStorage;
  /** When the thread wants to be woken. */
  #threads: number | null = null;
  #hasTable: boolean | undefined;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** The storage as the thread sees it: its alarm is its own. */
  get ofThread(): object {
    const storage = this.#storage;
    return {
      sql: storage.sql,
      transactionSync: <T>(work: () => T): T => storage.transactionSync(work),
      setAlarm: (at: number) => this.#threadWants(at),
      deleteAlarm: () => this.#threadWants(null),
    };
  }

  /** Adds a task, and returns its id. */
  add(at: number, name: string, data: unknown): string {
    if (!Number.isFinite(at)) throw new TypeError("schedule takes a Date, or milliseconds since 1970");
    const id = crypto.randomUUID();
    this.#storage.sql.exec(TABLE);
    this.#hasTable = true;
    this.#storage.sql.exec("INSERT INTO bobbin_schedule (id, at, name, data) VALUES (?, ?, ?, ?)", id, Math.trunc(at), name, JSON.stringify(data ?? null));
    void this.#setAlarm();
    return id;
  }

  remove(id: string): void {
    if (!this.#isThere()) return;
    this.#storage.sql.exec("DELETE FROM bobbin_schedule WHERE id = ?", id);
    void this.#setAlarm();
  }

  /** What is due. Each task is gone once it has been taken and `done` was called, so that a crash repeats it. */
  due(now: number): Task[] {
    if (!this.#isThere()) return [];
    return this.#storage.sql.exec("SELECT id, at, name, data FROM bobbin_schedule WHERE at <= ? ORDER BY at", now).toArray() as unknown as Task[];
  }

  /** Whether the thread's own time has come. */
  isThreads(now: number): boolean {
    // After the object has slept, nothing tells whose time it is.
    return this.#next() === undefined || this.#threads === null || this.#threads <= now;
  }

  /** The alarm went off: what is left is set again. */
  async rearm(): Promise<void> {
    await this.#setAlarm();
  }

  threadWoke(): void {
    this.#threads = null;
  }

  #threadWants(at: number | null): Promise<void> {
    this.#threads = at;
    return this.#setAlarm();
  }

  #setAlarm(): Promise<void> {
    const next = this.#next();
    const times = [this.#threads, next].filter((at) => at !== null && at !== undefined);
    return times.length === 0 ? this.#storage.deleteAlarm() : this.#storage.setAlarm(Math.min(...times));
  }

  #next(): number | undefined {
    if (!this.#isThere()) return undefined;
    const [row] = this.#storage.sql.exec("SELECT min(at) AS at FROM bobbin_schedule").toArray();
    return (row?.["at"] as number | null | undefined) ?? undefined;
  }

  #isThere(): boolean {
    this.#hasTable ??= this.#storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'bobbin_schedule'").toArray().length > 0;
    return this.#hasTable;
  }
}
