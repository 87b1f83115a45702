// Lazy access to the code that only files need.
import type { FileBlock, Thread } from "bobbin-client";
import { Suspense } from "react";
import { settleDraft } from "../drafts.ts";
import { t } from "../language.ts";
import { lazyPart, loadLater } from "../later.ts";
import { Contained } from "../ui/boundary.tsx";
import { untilLoaded } from "../until_loaded.ts";
import { addFiles, nameOfFile, useAttachments } from "./attachments.ts";

const List = lazyPart("AttachmentList");
const View = lazyPart("FileView");

/** Attaches files to the message that is being written, which from now on waits for their upload. */
export async function attach(thread: Thread, files: readonly File[]): Promise<void> {
  settleDraft(thread.sessionId);
  const added = addFiles(thread.sessionId, files);
  const { upload } = await untilLoaded(loadLater);
  upload(thread, added);
}

/** The attachments, of which only the names are shown until the rest is loaded. */
export function Attachments({ thread }: { thread: Thread }) {
  const list = useAttachments(thread.sessionId);
  if (list.length === 0) return null;
  const names = list.map(({ id, name }) => (
    <li key={id} className="file-name" dir="auto">
      {name}
    </li>
  ));
  return (
    <Contained text={list.map(({ name }) => name).join("\n")}>
      <ul className="attachments" aria-label={t.attachedFiles}>
        <Suspense fallback={names}>
          <List thread={thread} list={list} />
        </Suspense>
      </ul>
    </Contained>
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
