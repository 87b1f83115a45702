// Runs in a worker, which is loaded when the first code block with a language is shown.
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import dockerfile from "highlight.js/lib/languages/dockerfile";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import kotlin from "highlight.js/lib/languages/kotlin";
import markdown from "highlight.js/lib/languages/markdown";
import php from "highlight.js/lib/languages/php";
import python from "highlight.js/lib/languages/python";
import ruby from "highlight.js/lib/languages/ruby";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import swift from "highlight.js/lib/languages/swift";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { createLowlight } from "lowlight";

/** A piece of code in one colour, with the name of its class. */
export type Run = readonly [className: string, text: string];

const lowlight = createLowlight({
  bash, c, cpp, csharp, css, diff, dockerfile, go, ini, java, javascript, json, kotlin, markdown, php, python, ruby,
  rust, sql, swift, typescript, xml, yaml,
});

/** Undefined for an unknown language. */
export function highlight(code: string, language: string): readonly Run[] | undefined {
  if (!lowlight.registered(language)) return undefined;
  const runs: Run[] = [];
  for (const node of lowlight.highlight(language, code).children) collect(node, "", runs);
  return runs;
}

type Node = ReturnType<typeof lowlight.highlight>["children"][number];

function collect(node: Node, className: string, runs: Run[]): void {
  if (node.type === "text") runs.push([className, node.value]);
  if (node.type !== "element") return;
  const names = node.properties["className"];
  const inner = Array.isArray(names) ? `${className} ${names.join(" ")}`.trim() : className;
  for (const child of node.children) collect(child, inner, runs);
}
