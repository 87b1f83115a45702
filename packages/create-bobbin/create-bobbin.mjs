#!/usr/bin/env node
import { fileURLToPath } from "node:url";
import { Refusal, USAGE, createProject, nextSteps, readArguments } from "./create.mjs";

try {
  const { help, target, template } = readArguments(process.argv.slice(2));
  if (help) console.log(USAGE);
  else {
    const folder = createProject({ target, template, templates: fileURLToPath(new URL("templates", import.meta.url)) });
    console.log(nextSteps(folder, template));
  }
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
