import { highlight } from "./highlight.ts";

export type Request = { code: string; language: string };

onmessage = ({ data: { code, language } }: MessageEvent<Request>) => postMessage(highlight(code, language));
postMessage("ready");
