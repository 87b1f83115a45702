/** After this time a browser has begun to save the clicked file. */
const SAVING_MS = 60_000;

/** Gives a file to the person as a download. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVING_MS);
}
