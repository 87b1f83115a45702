/** The browser's storages; if one is full or forbidden, the page works but its data does not survive it. */
export type SafeStorage = {
  get(key: string): string | null;
  set(key: string, value: string | null): void;
  keys(): string[];
};

function safe(open: () => Storage): SafeStorage {
  const memory = new Map<string, string>();
  return {
    get(key) {
      try {
        // A value that could not be stored is newer than the stored one.
        return memory.get(key) ?? open().getItem(key);
      } catch {
        return null;
      }
    },
    set(key, value) {
      memory.delete(key);
      try {
        if (value === null) open().removeItem(key);
        else open().setItem(key, value);
      } catch {
        if (value !== null) memory.set(key, value);
      }
    },
    keys() {
      try {
        return [...memory.keys(), ...Object.keys(open())];
      } catch {
        return [...memory.keys()];
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
