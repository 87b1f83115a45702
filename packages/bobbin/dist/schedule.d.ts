/** The application's own times. The object has one alarm, which the thread and the application share. */
interface Task {
    id: string;
    at: number;
    name: string;
    data: string;
}
export declare class Schedule {
    #private;
    constructor(storage: DurableObjectStorage);
    /** The storage as the thread sees it: its alarm is its own. */
    get ofThread(): object;
    /** Adds a task, and returns its id. */
    add(at: number, name: string, data: unknown): string;
    remove(id: string): void;
    /** What is due. Each task is gone once it has been taken and `done` was called, so that a crash repeats it. */
    due(now: number): Task[];
    /** Whether the thread's own time has come. */
    isThreads(now: number): boolean;
    /** The alarm went off: what is left is set again. */
    rearm(): Promise<void>;
    threadWoke(): void;
}
export {};
