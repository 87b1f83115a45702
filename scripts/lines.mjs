// Converts DWARF's line table, which says from which line of Rust each piece of code was made, into a source map:
// `wasm-opt` keeps a source map correct while it changes the code. https://dwarfstd.org/doc/DWARF5.pdf, section 6.2
import { posix } from "node:path";
import { encode } from "@jridgewell/sourcemap-codec";
import { Failure } from "./lib.mjs";
import { Reader, codeOffsetOf, customSection } from "./wasm.mjs";

const DWARF_VERSION = 5;
const OPCODE = { copy: 1, advancePc: 2, advanceLine: 3, setFile: 4, setColumn: 5, addConstantToPc: 8, addFixedToPc: 9, setIsa: 12 };
const EXTENDED = { endSequence: 1, setAddress: 2 };
// The root of std, or of a registry; the crate's name follows it. Crates of a registry also name each other's folders
// from there.
const ROOT_OF_CRATES = /^.*(?:\/rustc\/[0-9a-f]+\/library|-[0-9a-f]{16})\//;
const CONTENT = { path: 1, folder: 2 };

/** A source map for `stripped`, from `wasm`: both have the same code, but only `wasm` has the section `.debug_line`. */
export function sourceMapOf(wasm, stripped) {
  const table = customSection(wasm, ".debug_line");
  if (!table) throw new Failure("The compiled wasm has no table of lines: is the profile built with `debug = \"line-tables-only\"`?");
  const codeOffset = codeOffsetOf(stripped);
  const sources = new Map();
  const sourceOf = (file) => sources.get(file) ?? sources.set(file, sources.size).get(file);
  const segments = rowsOf(table, customSection(wasm, ".debug_line_str")).map(({ address, file, line }) => {
    const offset = codeOffset + address;
    return file === undefined ? [offset] : [offset, sourceOf(file), line - 1, 0];
  });
  return JSON.stringify({ version: 3, sources: [...sources.keys()], names: [], mappings: encode([segments]) });
}

/** Sorted by address; a row without a file ends the range of the row before it. */
function rowsOf(table, texts) {
  const rows = [];
  const reader = new Reader(table);
  while (!reader.isAtEnd) {
    const length = reader.u32();
    rows.push(...rowsOfUnit(new Reader(reader.take(length)), texts));
  }
  return rows.sort((a, b) => a.address - b.address || (a.file === undefined ? -1 : 1));
}

function rowsOfUnit(reader, texts) {
  const { files, lineBase, lineRange, opcodeBase, minInstruction } = headerOf(reader, texts);
  const rows = [];
  let sequence = [];
  let [address, file, line] = [0, 1, 1];
  const emit = () => sequence.push({ address, file: files[file], line });
  const step = (special) => (address += minInstruction * Math.floor((special - opcodeBase) / lineRange));
  const end = () => {
    // The sequence of code that the linker dropped stays in the table, with an address of 0.
    if (sequence[0]?.address > 0) rows.push(...sequence, { address });
    sequence = [];
    [address, file, line] = [0, 1, 1];
  };
  const extended = (reader) => {
    const opcode = reader.u8();
    if (opcode === EXTENDED.endSequence) end();
    if (opcode === EXTENDED.setAddress) address = reader.u32();
  };
  while (!reader.isAtEnd) {
    const opcode = reader.u8();
    if (opcode >= opcodeBase) {
      step(opcode);
      line += lineBase + ((opcode - opcodeBase) % lineRange);
      emit();
    } else if (opcode === 0) extended(new Reader(reader.take(reader.unsigned())));
    else if (opcode === OPCODE.copy) emit();
    else if (opcode === OPCODE.advancePc) address += minInstruction * reader.unsigned();
    else if (opcode === OPCODE.advanceLine) line += reader.signed();
    else if (opcode === OPCODE.setFile) file = reader.unsigned();
    else if (opcode === OPCODE.addConstantToPc) step(255);
    else if (opcode === OPCODE.addFixedToPc) address += reader.u16();
    else if (opcode === OPCODE.setColumn || opcode === OPCODE.setIsa) reader.unsigned();
  }
  return rows;
}

function headerOf(reader, texts) {
  const version = reader.u16();
  if (version !== DWARF_VERSION) throw new Failure(`The table of lines is of DWARF ${version}: build with \`-Cdwarf-version=${DWARF_VERSION}\``);
  reader.take(6); // sizes of an address and a segment selector, the header's length
  const minInstruction = reader.u8();
  reader.take(2); // operations an instruction; whether a row is a statement by default
  const [lineBase, lineRange, opcodeBase] = [reader.i8(), reader.u8(), reader.u8()];
  reader.take(opcodeBase - 1);
  const folders = entriesOf(reader, texts).map((entry) => entry[CONTENT.path]);
  const inFolder = (path, folder) => (path.startsWith("/") ? path : `${folder}/${path}`);
  const files = entriesOf(reader, texts).map((entry) => {
    // The first folder is the one in which the compiler ran, and the others may be relative to it.
    const folder = inFolder(folders[entry[CONTENT.folder]], folders[0]);
    return posix.normalize(inFolder(entry[CONTENT.path], folder)).replace(ROOT_OF_CRATES, "");
  });
  return { files, minInstruction, lineBase, lineRange, opcodeBase };
}

/** A list whose entries are preceded by their own format. */
function entriesOf(reader, texts) {
  const formats = Array.from({ length: reader.u8() }, () => [reader.unsigned(), reader.unsigned()]);
  return Array.from({ length: reader.unsigned() }, () => Object.fromEntries(formats.map(([content, form]) => [content, valueOf(reader, form, texts)])));
}

function valueOf(reader, form, texts) {
  const read = {
    0x08: () => reader.textToZero(),
    0x0b: () => reader.u8(),
    0x0f: () => reader.unsigned(),
    0x1e: () => reader.take(16),
    0x1f: () => new Reader(texts, reader.u32()).textToZero(),
  }[form];
  if (!read) throw new Failure(`The table of lines holds values of form ${form}, which scripts/lines.mjs cannot read yet`);
  return read();
}
