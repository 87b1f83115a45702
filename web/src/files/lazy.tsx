// Lazy access to the code that only files need.
import type { FileBlock, Thread } from "bobbin-client";
import { Suspense, lazy } from "react";
import { settleDraft } from "../drafts.ts";
import { t } from "../language.ts";
import { loadLater } from "../later.ts";
import { createStore, useStore } from "../store.ts";
import { nameOfFile } from "./attachments.ts";

/** Why the last files were refused. */
const refusal = createStore("");

const List = lazy(async () => ({ default: (await loadLater()).AttachmentList }));
const View = lazy(async () => ({ default: (await loadLater()).FileView }));

/** Attaches files to the message that is being written. */
export async function attach(thread: Thread, files: readonly File[]): Promise<void> {
  refusal.set("");
  try {
    const { upload } = await loadLater();
    settleDraft(thread.sessionId);
    upload(thread, files);
  } catch {
    refusal.set(t.notAttached);
  }
}

export function Attachments({ thread }: { thread: Thread }) {
  const refused = useStore(refusal);
  return (
    <>
      {refused && (
        <p className="refusal" role="alert">
          {refused}
        </p>
      )}
      <Suspense>
        <List thread={thread} />
      </Suspense>
    </>
  );
}

/** Picture types that are shown; an SVG in an `<img>` runs no script. */
const PICTURE = /^image\/(png|jpeg|gif|webp|avif|bmp|svg\+xml)$/i;

export const isPicture = ({ mediaType, url }: FileBlock): boolean => PICTURE.test(mediaType) && /^(data:|\/)/.test(url);

/** A file of a message. Its space is reserved before it is loaded. */
export function FilePart({ thread, block }: { thread: Thread; block: FileBlock }) {
  const className = isPicture(block) ? "file picture" : "file";
  return (
    <figure className={className}>
      <Suspense fallback={<figcaption>{nameOfFile(block)}</figcaption>}>
        <View thread={thread} block={block} />
      </Suspense>
    </figure>
  );
}
