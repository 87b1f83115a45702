import { answerBeside } from "./answer_beside.ts";
import { highlight } from "./highlight.ts";

export type Request = { code: string; language: string };

answerBeside(({ code, language }: Request) => highlight(code, language));
