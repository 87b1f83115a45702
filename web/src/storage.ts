/** The browser's storages; a browser that forbids them costs what outlives the page, not the page. */
export type SafeStorage = {
  get(key: string): string | null;
  set(key: string, value: string | null): void;
};

function safe(open: () => Storage): SafeStorage {
  const memory = new Map<string, string>();
  return {
    get(key) {
      try {
        return open().getItem(key);
      } catch {
        return memory.get(key) ?? null;
      }
    },
    set(key, value) {
      try {
        if (value === null) open().removeItem(key);
        else open().setItem(key, value);
      } catch {
        if (value === null) memory.delete(key);
        else memory.set(key, value);
      }
    },
  };
}

export const local = safe(() => localStorage);
export const perTab = safe(() => sessionStorage);

/** For the client's unacknowledged messages. */
export function outboxStorage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}
