// The examples of the documents, unchanged.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);

/** The code blocks of one language in a document. */
export function examplesOf(document: string, language: string): string[] {
  const text = readFileSync(fileURLToPath(new URL(document, root)), "utf8");
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(([, code]) => code ?? "");
}

/** The only such block with these words in it. */
export function exampleOf(document: string, language: string, words = ""): string {
  const [example, ...more] = examplesOf(document, language).filter((code) => code.includes(words));
  if (example === undefined || more.length > 0) throw new Error(`${document} is to have one example in ${language} with ${words}`);
  return example;
}
