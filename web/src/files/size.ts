/** A size in words, rounded up: what is beyond a limit never looks like it. */
export function sizeInWords(bytes: number): string {
  if (bytes < 1024) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const [unit, name] = bytes < 1024 * 1024 ? [1024, "KiB"] : [1024 * 1024, "MiB"];
  return `${Math.ceil((bytes / unit) * 10) / 10} ${name}`;
}
