// A separate module, so that pages without files need not load it with the other hooks.
import { useEffect, useState } from "react";
import type { ThreadError } from "./error.ts";
import { type FileBlock, fetchFile } from "./files.ts";
import type { Thread } from "./thread.ts";

export type LoadedFile = {
  readonly blob: Blob | null;
  /** An object URL of the bytes, for example for an `<img>`; null until they are loaded. */
  readonly url: string | null;
  readonly error: ThreadError | null;
};

const NOT_LOADED: LoadedFile = { blob: null, url: null, error: null };

/**
 * Loads a file's bytes, because an `<img>` cannot send the credential. They are loaded while the component is mounted and
 * `isWanted` is true; the object URL is revoked when the component unmounts.
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
