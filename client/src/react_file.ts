// A module of its own, so that who shows no files does not load this in the same piece as the other hooks.
import { useEffect, useState } from "react";
import type { ThreadError } from "./error.ts";
import { type FileBlock, fetchFile } from "./files.ts";
import type { Thread } from "./thread.ts";

export type LoadedFile = {
  readonly blob: Blob | null;
  /** An address of the bytes within this page, as an `<img>` takes it; null until they are here. */
  readonly url: string | null;
  readonly error: ThreadError | null;
};

const NOT_LOADED: LoadedFile = { blob: null, url: null, error: null };

/**
 * A file's bytes, which an `<img>` could not ask for: it brings no credential. They are loaded while the component is
 * mounted and `isWanted` is true, and the address is given up with it.
 */
export function useFile(thread: Thread, file: FileBlock, isWanted = true): LoadedFile {
  const [loaded, setLoaded] = useState(NOT_LOADED);
  const { url } = file;
  useEffect(() => {
    if (!isWanted) return;
    const loading = new AbortController();
    let address: string | undefined;
    fetchFile(thread, url, { signal: loading.signal }).then(
      (blob) => {
        if (loading.signal.aborted) return;
        address = URL.createObjectURL(blob);
        setLoaded({ blob, url: address, error: null });
      },
      (error: ThreadError) => loading.signal.aborted || setLoaded({ ...NOT_LOADED, error }),
    );
    return () => {
      loading.abort();
      setLoaded(NOT_LOADED);
      if (address !== undefined) URL.revokeObjectURL(address);
    };
  }, [thread, url, isWanted]);
  return loaded;
}
