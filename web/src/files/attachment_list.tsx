import type { Thread } from "bobbin-client";
import { useEffect } from "react";
import { announce } from "../announce.ts";
import { focusMessage } from "../chat/focus.ts";
import { t } from "../language.ts";
import { Icon } from "../ui/icon.tsx";
import { type Attachment, attachmentsOf, isUnderWay, setAttachments } from "./attachments.ts";
import { Picture } from "./file_view.tsx";
import { isPicture } from "./lazy.tsx";
import { sizeInWords } from "./size.ts";
import { tryAgain } from "./upload.ts";

/** The attachments of the message that is being written. */
export function AttachmentList({ thread, list }: { thread: Thread; list: readonly Attachment[] }) {
  const isBusy = list.some(isUnderWay);
  // Asks before the page is closed, which would lose uploads in progress.
  useEffect(() => {
    if (!isBusy) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [isBusy]);
  return list.map((one) => <Row key={one.id} thread={thread} one={one} />);
}

function Row({ thread, one }: { thread: Thread; one: Attachment }) {
  const { name, size, block, error, file } = one;
  function remove(): void {
    const { sessionId } = thread;
    setAttachments(sessionId, attachmentsOf(sessionId).filter(({ id }) => id !== one.id));
    announce(t.notAttachedAnyMore(name));
    focusMessage();
  }
  return (
    <li className={error === undefined ? undefined : "failed"}>
      <span className="thumb">{block && isPicture(block) ? <Picture thread={thread} block={block} /> : <Icon name="file" />}</span>
      <span className="attached">
        <span className="file-name" dir="auto">
          {name}
        </span>
        {error === undefined ? <Progress one={one} /> : <span role="alert">{error}</span>}
        {block && <span className="faint">{sizeInWords(size)}</span>}
      </span>
      {error !== undefined && file && (
        <button type="button" className="small" onClick={() => tryAgain(thread, one)} aria-label={t.tryNameAgain(name)}>
          <Icon name="retry" />
        </button>
      )}
      <button type="button" className="quiet" onClick={remove} aria-label={isUnderWay(one) ? t.cancelFile(name) : t.removeFile(name)}>
        <Icon name="close" />
      </button>
    </li>
  );
}

function Progress({ one }: { one: Attachment }) {
  if (!isUnderWay(one)) return null;
  const { name, size, sent = 0, waits } = one;
  return (
    <>
      <progress max={size || 1} value={sent} aria-label={t.uploadOf(name)} />
      <span className="faint">{waits ? t.waitsForConnection(waits) : t.sizeOf(sizeInWords(sent), sizeInWords(size))}</span>
    </>
  );
}
