// Names the functions that are compiled for speed: they run for every token, socket or frame. The rest of the crate is
// compiled for size, because it is loaded with every start and seldom runs.
import { functionsOf } from "./wasm.mjs";

/** Modules of the crate. If names follow a module, only its functions and types with these names are meant. */
const HOT = [
  "agent::http::stream push event text",
  "agent::openai::chunk",
  "agent::openai::completion",
  "agent::openai::text",
  "agent::sse",
  "dialect::native text_frame",
  "protocol::cursor write_bare write_hex set of",
  "protocol::json Reader",
  "protocol::write write_text write_number key comma",
  "pump feed drain",
  "session_do::agents read",
  "session_do::sockets send",
  "session_do::workerd send",
  "thread poll_output poll_deadline",
  "thread::answer push said sent",
  "thread::stream",
].map((line) => line.split(" "));

const CRATE = "6bobbin";
// In the compiler's mangled names each word follows its length, with a `_` between them if the word begins with a
// digit.
const WORD_LENGTH = /(\d+)_?/y;

/** The compiler's names of all hot functions, read from a wasm that contains them. */
export function hotFunctions(wasm) {
  return [...functionsOf(wasm).values()].map(({ name }) => name).filter((name) => name !== undefined && isHot(name));
}

function isHot(name) {
  const at = name.indexOf(CRATE);
  if (at < 0) return false;
  const { path, rest } = pathIn(name, at + CRATE.length);
  const isWithin = (module) => path === module || path.startsWith(`${module}::`);
  const isNamed = (word) => path.endsWith(`::${word}`) || rest.includes(`${word.length}${word}`);
  return HOT.some(([module, ...words]) => isWithin(module) && (words.length === 0 || words.some(isNamed)));
}

function pathIn(name, from) {
  const words = [];
  for (let at = from; ; ) {
    WORD_LENGTH.lastIndex = at;
    const found = WORD_LENGTH.exec(name);
    if (!found) return { path: words.join("::"), rest: name.slice(at) };
    const start = at + found[0].length;
    at = start + Number(found[1]);
    words.push(name.slice(start, at));
  }
}
