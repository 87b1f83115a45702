// Uploads. A bad connection loses nothing of a file, and no file is attached twice.
import { DATA_URL_BYTES_MAX, type FileBlock, FILE_BYTES_MAX, MESSAGE_BYTES_MAX, type Thread, ThreadError, type UploadProgress, fetchConfig, inlineFile, uploadFile } from "bobbin-client";
import { announce } from "../announce.ts";
import { t } from "../language.ts";
import { type Attachment, attachmentsOf, changeAttachment, isUnderWay, running, setAttachments } from "./attachments.ts";
import { asSentence, wordsOf } from "../sentence.ts";
import { sizeInWords } from "./size.ts";

/** How many uploads run at once; the others wait for their turn. */
const AT_ONCE = 3;
/** How much of a message is left for its text if it contains its files. */
const TEXT_BYTES = 16 * 1024;
/** A message accepts 256 blocks, but nobody reads a longer list than this. */
const FILES_MAX = 32;

const queue: (() => Promise<void>)[] = [];
let going = 0;

/** Uploads what was attached, unless it has been removed since. */
export function upload(thread: Thread, added: readonly Attachment[]): void {
  const { sessionId } = thread;
  const list = attachmentsOf(sessionId);
  const kept = list.filter((one) => added.some(({ id }) => id === one.id));
  if (kept.length === 0) return;
  announce(kept.length === 1 ? t.attaching(kept[0]?.name ?? "") : t.attachingSeveral(kept.length));
  for (const one of kept) {
    const error = faultOf(one, list.indexOf(one));
    if (error === null) begin(thread, one);
    else changeAttachment(sessionId, one.id, { error, file: undefined });
  }
  tellEnd(thread);
}

/** Why a file cannot be uploaded, which also depends on its place in the list. */
function faultOf({ size }: Attachment, index: number): string | null {
  if (index >= FILES_MAX) return t.tooManyFiles(FILES_MAX);
  if (size > FILE_BYTES_MAX) return t.tooLarge(sizeInWords(size), sizeInWords(FILE_BYTES_MAX));
  return size === 0 ? t.emptyFile : null;
}

export function tryAgain(thread: Thread, one: Attachment): void {
  const { error: _, ...rest } = one;
  const again = { ...rest, sent: 0 };
  setAttachments(thread.sessionId, attachmentsOf(thread.sessionId).map((other) => (other.id === one.id ? again : other)));
  begin(thread, again);
}

function begin(thread: Thread, one: Attachment): void {
  const upload = new AbortController();
  running.set(one.id, upload);
  queue.push(() => run(thread, one, upload.signal));
  next();
}

function next(): void {
  if (going >= AT_ONCE) return;
  const job = queue.shift();
  if (!job) return;
  going += 1;
  void job().finally(() => {
    going -= 1;
    next();
  });
}

async function run(thread: Thread, one: Attachment, signal: AbortSignal): Promise<void> {
  const change = (to: Partial<Attachment>) => changeAttachment(thread.sessionId, one.id, to);
  try {
    signal.throwIfAborted();
    const block = await up(thread, one, signal, change);
    signal.throwIfAborted();
    change({ block, at: Date.now(), waits: null });
  } catch (error) {
    // The person who aborted it has already removed it.
    if (signal.aborted) return;
    const mayHelp = error instanceof ThreadError;
    change({ error: asSentence(wordsOf(error)), ...(!mayHelp && { file: undefined }) });
  } finally {
    running.delete(one.id);
    if (!signal.aborted) tellEnd(thread);
  }
}

async function up(thread: Thread, { file, name }: Attachment, signal: AbortSignal, change: (to: Partial<Attachment>) => void): Promise<FileBlock> {
  const bytes = file as Blob;
  const onWait = ({ message }: ThreadError) => change({ waits: asSentence(message) });
  const patient = { signal, retries: Number.POSITIVE_INFINITY, onWait };
  // Asked first, so that a file that no bucket can store is not uploaded in vain.
  const { bound } = await fetchConfig(thread, patient);
  if (bound && !bound.includes("FILES")) return await inside(thread, bytes, name);
  const onProgress = ({ sent }: UploadProgress) => change({ sent, waits: null });
  try {
    return await uploadFile(thread, bytes, { name, onProgress, ...patient });
  } catch (error) {
    if (error instanceof ThreadError && error.code === "NOT_CONFIGURED") return await inside(thread, bytes, name);
    throw error;
  }
}

/** Without a bucket a small file is sent within the message. */
async function inside({ sessionId }: Thread, bytes: Blob, name: string): Promise<FileBlock> {
  const block = await inlineFile(bytes, { name }).catch((error: unknown) => {
    if (!(error instanceof ThreadError) || error.code !== "MESSAGE_TOO_LARGE") throw error;
    throw new Error(t.tooLargeInside(sizeInWords(bytes.size), sizeInWords((DATA_URL_BYTES_MAX / 4) * 3)));
  });
  const others = attachmentsOf(sessionId).reduce((sum, { block }) => sum + (block?.url.length ?? 0), 0);
  if (others + block.url.length <= MESSAGE_BYTES_MAX - TEXT_BYTES) return block;
  throw new Error(t.tooLargeTogether);
}

/** Reports the result once, when no upload is running any more. */
function tellEnd({ sessionId }: Thread): void {
  const list = attachmentsOf(sessionId);
  if (list.length === 0 || list.some(isUnderWay)) return;
  const up = list.filter(({ block }) => block);
  const failed = list.length - up.length;
  announce([up.length === 1 ? t.isAttached(up[0]?.name ?? "") : t.areAttached(up.length), failed > 0 ? t.couldNotBe(failed) : ""].join(" ").trim());
}
