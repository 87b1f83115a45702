// Files of messages: uploaded before the message that refers to them, and downloaded with the caller's credential.
import { environmentOf } from "./environment.ts";
import { fatal } from "./error.ts";
import { createApi, errorOf, wordsOf } from "./http.ts";
import type { Block } from "./protocol.ts";
import { type TransferOptions, persist, pick } from "./retry.ts";
import { type Thread, type ThreadOptions, threadOptions } from "./thread.ts";
import { type FileBytes, sending } from "./transfer.ts";

/** Maximum size of an upload in bytes. */
export const FILE_BYTES_MAX = 25 * 1024 * 1024;
/** Maximum size of a `data:` URL in a `file` block, in bytes. */
export const DATA_URL_BYTES_MAX = 128 * 1024;
/** Number of bytes converted to text at once: they are arguments of one call, whose number is limited. */
const TEXT_BYTES = 8192;
/** The credential is sent only to such a path of the worker. */
const PATH = /^\/sessions\/[\w-]+\/files\/[\w.-]+$/;

export type FileBlock = Extract<Block, { type: "file" }>;

export type UploadProgress = {
  /** Bytes sent by the current attempt. Without `XMLHttpRequest` it is only none or all. */
  readonly sent: number;
  readonly total: number;
};

export type FileOptions = {
  /** Default: the name of the `File`. */
  name?: string | undefined;
  /** Default: the type of the `Blob`, otherwise `application/octet-stream`. */
  mediaType?: string | undefined;
};

export type UploadOptions = FileOptions & TransferOptions & { onProgress?: ((progress: UploadProgress) => void) | undefined };

/** The response of `GET /config`. Callers without access get only `auth`. */
export type ServerConfig = {
  auth: { mode: "jwt" | "none"; ways: string[] };
  version?: string;
  agent?: string;
  models?: string[];
  permissionModes?: string[];
  search?: "messages" | "titles";
  limits?: Record<string, number>;
  /** Names of bindings: it includes `FILES` if the worker stores files. */
  bound?: string[];
};

/**
 * Uploads a file of at most 25 MiB, and returns its `file` block for a message. Retries after a lost connection: the
 * worker deletes leftovers of earlier attempts after a day. Rejects with a `ThreadError`, or with the signal's reason.
 */
export async function uploadFile(to: Thread | ThreadOptions, file: FileBytes, options: UploadOptions = {}): Promise<FileBlock> {
  const { server, path } = placeOf(to);
  const { blob, name, mediaType } = described(file, options);
  const total = blob.size;
  if (total > FILE_BYTES_MAX) throw tooLarge(name, total, FILE_BYTES_MAX);
  const { onProgress = () => {} } = options;
  const tell = (sent: number) => onProgress({ sent, total });
  const environment = environmentOf(server);
  const api = createApi({ ...server, fetch: sending(blob, mediaType, server.fetch, environment.timers, tell) });
  const query = name === undefined ? "" : `?name=${encodeURIComponent(name)}`;
  const attempt = async () => {
    await checkReadable(blob, name);
    tell(0);
    return await api.json<Omit<FileBlock, "type">>(`${path}/files${query}`, { method: "POST", ...pick(options) });
  };
  const kept = await persist(environment, options, attempt);
  tell(total);
  return { type: "file", ...kept };
}

/** Puts a file of up to 96 KiB into a block with its bytes, for workers that store no files. */
export async function inlineFile(file: FileBytes, options: FileOptions = {}): Promise<FileBlock> {
  const { blob, name, mediaType } = described(file, options);
  const head = `data:${mediaType};base64,`;
  const bytesMax = Math.floor((DATA_URL_BYTES_MAX - head.length) / 4) * 3;
  if (blob.size > bytesMax) throw tooLarge(name, blob.size, bytesMax);
  await checkReadable(blob, name);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += TEXT_BYTES) text += String.fromCharCode(...bytes.subarray(at, at + TEXT_BYTES));
  return { type: "file", mediaType, url: head + btoa(text), ...(name !== undefined && { name }), size: blob.size };
}

/**
 * Returns the bytes of a file. A file of the worker is fetched with the caller's credential, and a `data:` URL is decoded. An
 * `https:` URL is fetched without the credential, because it may belong to anybody. Rejects like `uploadFile`.
 */
export async function fetchFile(of: Thread | ThreadOptions, file: FileBlock | string, options: TransferOptions = {}): Promise<Blob> {
  const { server } = placeOf(of);
  const url = typeof file === "string" ? file : file.url;
  if (url.startsWith("data:")) return fromDataUrl(url);
  const isForeign = url.startsWith("https:");
  if (!isForeign && !PATH.test(url)) throw fatal("INVALID_MESSAGE", "A file's url is an https: address, a data: URL or the path /sessions/{id}/files/{file}.");
  const api = createApi(server);
  return await persist(environmentOf(server), options, async () => {
    const { signal = null } = options;
    const response = isForeign ? await (server.fetch ?? fetch)(url, { signal, credentials: "omit" }) : await api.fetch(url, pick(options));
    if (!response.ok) throw await errorOf(response);
    return await response.blob();
  });
}

/** All messages of a session as JSON Lines, oldest first: the response of `GET …/messages`. */
export async function exportMessages(of: Thread | ThreadOptions, options: TransferOptions = {}): Promise<Blob> {
  const { server, path } = placeOf(of);
  return await persist(environmentOf(server), options, async () => {
    const response = await createApi(server).fetch(`${path}/messages`, { ...pick(options), accept: "application/x-ndjson" });
    if (!response.ok) throw await errorOf(response);
    return await response.blob();
  });
}

/** Returns what the worker offers, and which credentials it accepts. */
export async function fetchConfig(of: Thread | ThreadOptions, options: TransferOptions = {}): Promise<ServerConfig> {
  const server = "getSnapshot" in of ? threadOptions(of) : of;
  return await persist(environmentOf(server), options, () => createApi(server).json<ServerConfig>("/config", pick(options)));
}

function placeOf(of: Thread | ThreadOptions): { server: ThreadOptions; path: string } {
  const server = "getSnapshot" in of ? threadOptions(of) : of;
  return { server, path: `/sessions/${encodeURIComponent(server.sessionId ?? "")}` };
}

function described(file: FileBytes, { name, mediaType }: FileOptions) {
  const blob = file instanceof Blob ? file : new Blob([file as Uint8Array<ArrayBuffer>]);
  return { blob, name: name ?? (blob as { name?: string }).name, mediaType: mediaType || blob.type || "application/octet-stream" };
}

/** Checks that the file can be read: if it was moved since it was chosen, or is a folder, an upload would fail like a lost connection. */
async function checkReadable(blob: Blob, name: string | undefined): Promise<void> {
  try {
    await blob.slice(0, 1).arrayBuffer();
  } catch {
    throw fatal("INVALID_MESSAGE", `${theFile(name)} cannot be read. A folder cannot be sent; a file that was changed or moved has to be chosen again.`);
  }
}

/** RFC 2397. */
function fromDataUrl(url: string): Blob {
  const comma = url.indexOf(",");
  const [type = "", ...more] = url.slice("data:".length, comma).split(";");
  const isBase64 = more.at(-1)?.trim() === "base64";
  try {
    if (comma < 0) throw new Error("it has no comma");
    const text = isBase64 ? atob(decodeURIComponent(url.slice(comma + 1))) : decodeURIComponent(url.slice(comma + 1));
    const bytes = isBase64 ? Uint8Array.from(text, (char) => char.charCodeAt(0)) : text;
    return new Blob([bytes], { type: type || "text/plain" });
  } catch (cause) {
    throw fatal("INVALID_MESSAGE", `The file's data: URL cannot be read: ${wordsOf(cause)}`);
  }
}

const theFile = (name: string | undefined) => (name ? `The file ${name}` : "The file");

const tooLarge = (name: string | undefined, bytes: number, max: number) =>
  fatal("MESSAGE_TOO_LARGE", `${theFile(name)} has ${inWords(bytes)}; at most ${inWords(max)} are allowed.`);

/** Rounded up, so that what is beyond a limit never looks like it. */
function inWords(bytes: number): string {
  const [unit, name] = bytes < 1024 * 1024 ? [1024, "KiB"] : [1024 * 1024, "MiB"];
  return `${Math.ceil((bytes / unit) * 10) / 10} ${name}`;
}
