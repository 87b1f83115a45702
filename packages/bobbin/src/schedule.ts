/** The application's scheduled tasks. The object has one alarm, which the thread and the application share. */

export interface Task {
  id: string;
  at: number;
  name: string;
  data: string;
  failures: number;
}

/** The task that represents the application's `ctx.storage.setAlarm`. */
export const ALARM = "alarm";

const TABLE =
  "CREATE TABLE IF NOT EXISTS bobbin_schedule (id TEXT PRIMARY KEY, at INTEGER NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL, failures INTEGER NOT NULL DEFAULT 0) STRICT";
const RETRY_MS_MAX = 3_600_000;
const FAILURES_MAX = 10;

export class Schedule {
  readonly #storage: DurableObjectStorage;
  readonly #setRealAlarm: (at: number) => Promise<void>;
  readonly #deleteRealAlarm: () => Promise<void>;
  readonly #getRealAlarm: () => Promise<number | null>;
  /** When the thread wants to be woken; `undefined`, because unknown, after the object has hibernated. */
  #threads: number | null | undefined;
  #hasTable: boolean | undefined;
  #setting: Promise<void> = Promise.resolve();

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#setRealAlarm = storage.setAlarm.bind(storage);
    this.#deleteRealAlarm = storage.deleteAlarm.bind(storage);
    this.#getRealAlarm = storage.getAlarm.bind(storage);
    this.#giveApplication();
  }

  /** The storage for the thread, which appears to have its own alarm. */
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
  add(at: number, name: string, data: unknown, id: string = crypto.randomUUID()): string {
    if (!Number.isFinite(at)) throw new TypeError("a time is a Date, or milliseconds since 1970");
    this.#storage.sql.exec(TABLE);
    this.#hasTable = true;
    this.#storage.sql.exec("INSERT OR REPLACE INTO bobbin_schedule (id, at, name, data) VALUES (?, ?, ?, ?)", id, Math.trunc(at), name, JSON.stringify(data ?? null));
    this.#setAlarm();
    return id;
  }

  remove(id: string): void {
    if (!this.#isThere()) return;
    this.#storage.sql.exec("DELETE FROM bobbin_schedule WHERE id = ?", id);
    this.#setAlarm();
  }

  /** The due tasks. A task stays until it is removed, so that it is repeated after a crash. */
  due(now: number): Task[] {
    return this.#tasks("WHERE at <= ? ORDER BY at", now);
  }

  find(id: string): Task | undefined {
    return this.#tasks("WHERE id = ?", id)[0];
  }

  /** Schedules the retry of a failed task, with growing delays. Returns whether there is one. */
  retry({ id, failures }: Task, now: number): boolean {
    if (failures + 1 >= FAILURES_MAX) {
      this.remove(id);
      return false;
    }
    const at = now + Math.min(RETRY_MS_MAX, 1000 * 2 ** failures);
    this.#storage.sql.exec("UPDATE bobbin_schedule SET at = ?, failures = failures + 1 WHERE id = ?", at, id);
    return true;
  }

  /** Whether the thread's alarm is due, as far as is known. */
  isThreads(now: number): boolean {
    return this.#threads === undefined || (this.#threads !== null && this.#threads <= now);
  }

  /** Called when the alarm has fired. The thread will set its next alarm. */
  threadWoke(): void {
    this.#threads = null;
  }

  /** Sets the alarm again for the remaining tasks. */
  rearm(): Promise<void> {
    return this.#setAlarm();
  }

  #threadWants(at: number | null): Promise<void> {
    this.#threads = at;
    return this.#setAlarm();
  }

  /** Sets the alarm in order, so that the last call counts. */
  #setAlarm(): Promise<void> {
    // Without tasks of the application nothing must be read first, and the call is passed on directly.
    const next = this.#next();
    if (next === undefined && this.#threads !== undefined) return this.#set(this.#threads);
    this.#setting = this.#setting.then(async () => {
      const ours = this.#threads === undefined ? await this.#getRealAlarm() : this.#threads;
      const times = [ours, this.#next()].filter((at) => at !== null && at !== undefined);
      await this.#set(times.length === 0 ? null : Math.min(...times));
    });
    return this.#setting;
  }

  #set(at: number | null): Promise<void> {
    return at === null ? this.#deleteRealAlarm() : this.#setRealAlarm(at);
  }

  #next(): number | undefined {
    if (!this.#isThere()) return undefined;
    const [row] = this.#storage.sql.exec("SELECT min(at) AS at FROM bobbin_schedule").toArray();
    return (row?.["at"] as number | null | undefined) ?? undefined;
  }

  #tasks(where: string, value: number | string): Task[] {
    if (!this.#isThere()) return [];
    return this.#storage.sql.exec(`SELECT id, at, name, data, failures FROM bobbin_schedule ${where}`, value).toArray() as unknown as Task[];
  }

  #isThere(): boolean {
    this.#hasTable ??= this.#storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'bobbin_schedule'").toArray().length > 0;
    return this.#hasTable;
  }

  /** Replaces the application's alarm methods, so that its alarm does not overwrite the thread's. */
  #giveApplication(): void {
    const methods = {
      setAlarm: async (at: Date | number) => void this.add(Number(at), ALARM, null, ALARM),
      deleteAlarm: async () => this.remove(ALARM),
      getAlarm: async () => this.find(ALARM)?.at ?? null,
    };
    for (const [name, value] of Object.entries(methods)) Object.defineProperty(this.#storage, name, { value, configurable: true });
  }
}
