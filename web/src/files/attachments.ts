// The attachments of an unsent message, beside its draft. Uploaded ones survive the page.
import type { Content, FileBlock } from "bobbin-client";
import { useSyncExternalStore } from "react";
import { credential, subject, useSubject } from "../credential.ts";
import { t } from "../language.ts";
import { local, perTab } from "../storage.ts";

export type Attachment = {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  /** The block that goes into the message, once it is uploaded. */
  readonly block?: FileBlock;
  /** When it was uploaded, in Unix ms. */
  readonly at?: number;
  /** The file whose upload runs, ran, or may run again; not known after a reload. */
  readonly file?: Blob | undefined;
  /** How many bytes are uploaded, while it runs. */
  readonly sent?: number;
  /** Why the upload does not progress at the moment. */
  readonly waits?: string | null;
  /** Why the upload failed permanently. */
  readonly error?: string;
};

/** A file that no message names is deleted after a day. */
const KEPT_MS = 23 * 3_600_000;
const PREFIX = "bobbin:files:";
const NONE: readonly Attachment[] = [];

const listeners = new Set<() => void>();
const all = new Map<string, readonly Attachment[]>();
/** The last values that this tab wrote, by key. */
const written = new Map<string, string | null>();
/** The files uploaded from this page, by their addresses: a sent file is shown at once, also without a connection. */
const own = new Map<string, Blob>();
/** Aborts each running upload, by the attachment's id. */
export const running = new Map<string, AbortController>();

const nameOf = (sessionId: string): string => `${subject()}:${sessionId}`;

let whose = subject();
credential.subscribe(() => {
  if (whose === subject()) return;
  whose = subject();
  own.clear();
  all.clear();
  for (const upload of running.values()) upload.abort();
});

export const ownFile = (url: string): Blob | undefined => own.get(url);

export function attachmentsOf(sessionId: string): readonly Attachment[] {
  const name = nameOf(sessionId);
  const known = all.get(name) ?? restore(name);
  all.set(name, known);
  return known;
}

export function useAttachments(sessionId: string): readonly Attachment[] {
  useSubject();
  return useSyncExternalStore(subscribe, () => attachmentsOf(sessionId));
}

/** Neither uploaded nor given up. */
export const isUnderWay = ({ block, error }: Attachment): boolean => !block && error === undefined;

/** The sessions with attached, unsent files. */
export function sessionsWithFiles(): string[] {
  const prefix = PREFIX + nameOf("");
  return local.keys().flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
}

export function setAttachments(sessionId: string, list: readonly Attachment[]): void {
  const name = nameOf(sessionId);
  for (const { id } of attachmentsOf(sessionId)) if (!list.some((other) => other.id === id)) running.get(id)?.abort();
  for (const { block, file } of list) if (block && file) own.set(block.url, file);
  all.set(name, list);
  keep(name, list);
  for (const listener of listeners) listener();
}

/** Adds files that are not uploaded yet, and returns them. */
export function addFiles(sessionId: string, files: readonly File[]): readonly Attachment[] {
  const added = files.map((file) => ({ id: crypto.randomUUID(), name: file.name, size: file.size, file, sent: 0 }));
  setAttachments(sessionId, [...attachmentsOf(sessionId), ...added]);
  return added;
}

export function changeAttachment(sessionId: string, id: string, to: Partial<Attachment>): void {
  const list = attachmentsOf(sessionId);
  // It may have been removed meanwhile.
  if (list.some((one) => one.id === id)) setAttachments(sessionId, list.map((one) => (one.id === id ? { ...one, ...to } : one)));
}

/** Returns the attachments of messages that could not be sent. */
export function giveFilesBack(sessionId: string, contents: readonly Content[]): void {
  const blocks = contents.flatMap(filesOf);
  const list = attachmentsOf(sessionId);
  const missing = blocks.filter(({ url }) => !list.some(({ block }) => block?.url === url));
  if (missing.length > 0) setAttachments(sessionId, [...list, ...missing.map((block) => attachmentOf(block))]);
}

export const filesOf = (content: Content): FileBlock[] => (typeof content === "string" ? [] : content.filter((block) => block.type === "file"));

export const nameOfFile = ({ name, mediaType }: FileBlock): string => name || mediaType;

function attachmentOf(block: FileBlock, at = Date.now()): Attachment {
  const file = own.get(block.url);
  return { id: crypto.randomUUID(), name: nameOfFile(block), size: block.size ?? 0, block, at, ...(file && { file }) };
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function keep(name: string, list: readonly Attachment[]): void {
  const up = list.flatMap(({ block, at }) => (block ? [{ block, at }] : []));
  const under = list.flatMap((one) => (isUnderWay(one) ? [one.name] : []));
  const [key, text] = [PREFIX + name, up.length > 0 ? JSON.stringify(up) : null];
  // If nothing is left here, another tab may have attached something since.
  if (text !== written.get(key) && (text !== null || local.get(key) === written.get(key))) local.set(key, text);
  written.set(key, text);
  const names = under.length > 0 ? JSON.stringify(under) : null;
  if (names !== perTab.get(key)) perTab.set(key, names);
}

function restore(name: string): readonly Attachment[] {
  const key = PREFIX + name;
  const text = local.get(key);
  written.set(key, text);
  const up = read<{ block: FileBlock; at: number }>(text).map(({ block, at }) => {
    const isGone = block.url.startsWith("/") && at < Date.now() - KEPT_MS;
    return isGone ? lost(block.name ?? "", t.notKept) : attachmentOf(block, at);
  });
  const cut = read<string>(perTab.get(key)).map((name) => lost(name, t.notUp));
  return up.length + cut.length > 0 ? [...up, ...cut] : NONE;
}

const lost = (name: string, error: string): Attachment => ({ id: crypto.randomUUID(), name, size: 0, error });

function read<T>(text: string | null): T[] {
  try {
    return JSON.parse(text ?? "[]") as T[];
  } catch {
    return [];
  }
}
