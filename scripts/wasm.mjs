// A wasm module as a list of its sections (https://webassembly.github.io/spec/core/binary/modules.html).
const HEADER_BYTES = 8;
const SECTION = { custom: 0, export: 7, code: 10 };
// Ids in the section of names.
const FUNCTION_NAMES = 1;

/** Reads numbers and names one after the other, as wasm and DWARF both write them. */
export class Reader {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  get isAtEnd() {
    return this.at >= this.bytes.length;
  }

  u8() {
    return this.bytes.readUInt8(this.#advance(1));
  }

  i8() {
    return this.bytes.readInt8(this.#advance(1));
  }

  u16() {
    return this.bytes.readUInt16LE(this.#advance(2));
  }

  u32() {
    return this.bytes.readUInt32LE(this.#advance(4));
  }

  /** An unsigned number in LEB128. */
  unsigned() {
    return this.#leb128().value >>> 0;
  }

  /** A signed number in LEB128. */
  signed() {
    const { value, bits, last } = this.#leb128();
    return last & 0x40 && bits < 32 ? value | (-1 << bits) : value;
  }

  /** The next `length` bytes. */
  take(length) {
    return this.bytes.subarray(this.#advance(length), this.at);
  }

  /** A text that follows its length. */
  text() {
    return this.take(this.unsigned()).toString();
  }

  /** A text before a zero byte. */
  textToZero() {
    const text = this.take(this.bytes.indexOf(0, this.at) - this.at).toString();
    this.at += 1;
    return text;
  }

  #leb128() {
    for (let value = 0, bits = 0; ; ) {
      const last = this.u8();
      value |= (last & 0x7f) << bits;
      bits += 7;
      if (last < 0x80) return { value, bits, last };
    }
  }

  #advance(length) {
    this.at += length;
    return this.at - length;
  }
}

/** In order: `name` of a custom section, `offset` of its payload in the file, and the payload. */
export function sectionsOf(wasm) {
  const reader = new Reader(wasm, HEADER_BYTES);
  const sections = [];
  while (!reader.isAtEnd) {
    const id = reader.u8();
    const length = reader.unsigned();
    const offset = reader.at;
    const payload = reader.take(length);
    const name = id === SECTION.custom ? new Reader(payload).text() : undefined;
    sections.push({ id, name, offset, payload });
  }
  return sections;
}

/** The offset at which the code begins in the file: addresses in DWARF count from here. */
export const codeOffsetOf = (wasm) => sectionsOf(wasm).find(({ id }) => id === SECTION.code).offset;

/** The content of a custom section after its name, or undefined if there is none of that name. */
export function customSection(wasm, name) {
  const section = sectionsOf(wasm).find((section) => section.name === name);
  if (!section) return undefined;
  const reader = new Reader(section.payload);
  reader.text();
  return section.payload.subarray(reader.at);
}

/** The module without the custom sections for which `drops` is true; its code keeps every byte. */
export function withoutSections(wasm, drops) {
  const kept = sectionsOf(wasm).filter(({ name }) => name === undefined || !drops(name));
  return moduleOf(wasm, kept);
}

/** The module with only those exports whose name is in `names`. */
export function withExports(wasm, names) {
  const sections = sectionsOf(wasm).map((section) => {
    if (section.id !== SECTION.export) return section;
    const kept = exportsIn(section.payload).filter(({ name }) => names.has(name));
    return { ...section, payload: Buffer.concat([leb128(kept.length), ...kept.map(({ bytes }) => bytes)]) };
  });
  return moduleOf(wasm, sections);
}

/** For each function that is not imported, by its index: its name, and where its code begins and ends in the file. */
export function functionsOf(wasm) {
  const names = functionNames(wasm);
  const imported = WebAssembly.Module.imports(new WebAssembly.Module(wasm)).filter(({ kind }) => kind === "function").length;
  const { offset, payload } = sectionsOf(wasm).find(({ id }) => id === SECTION.code);
  const reader = new Reader(payload);
  const functions = Array.from({ length: reader.unsigned() }, (_, index) => {
    const length = reader.unsigned();
    const start = offset + reader.at;
    reader.take(length);
    return [imported + index, { name: names.get(imported + index), start, end: start + length }];
  });
  return new Map(functions);
}

function functionNames(wasm) {
  const reader = new Reader(customSection(wasm, "name"));
  while (reader.u8() !== FUNCTION_NAMES) reader.take(reader.unsigned());
  reader.unsigned();
  return new Map(Array.from({ length: reader.unsigned() }, () => [reader.unsigned(), reader.text()]));
}

/** The module with other names of its functions, in place of everything in its section of names. */
export function withFunctionNames(wasm, rename) {
  const names = [...functionNames(wasm)].map(([index, name]) => Buffer.concat([leb128(index), text(rename(name, index))]));
  const list = Buffer.concat([leb128(names.length), ...names]);
  const payload = Buffer.concat([text("name"), Buffer.of(FUNCTION_NAMES), leb128(list.length), list]);
  return moduleOf(wasm, sectionsOf(wasm).map((section) => (section.name === "name" ? { ...section, payload } : section)));
}

function exportsIn(payload) {
  const reader = new Reader(payload);
  return Array.from({ length: reader.unsigned() }, () => {
    const start = reader.at;
    const name = reader.text();
    reader.u8();
    reader.unsigned();
    return { name, bytes: payload.subarray(start, reader.at) };
  });
}

function moduleOf(wasm, sections) {
  const parts = sections.flatMap(({ id, payload }) => [Buffer.of(id), leb128(payload.length), payload]);
  return Buffer.concat([wasm.subarray(0, HEADER_BYTES), ...parts]);
}

function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([leb128(bytes.length), bytes]);
}

function leb128(value) {
  const bytes = [];
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Buffer.of(...bytes, value);
}
