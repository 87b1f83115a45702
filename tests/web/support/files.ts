// Files, and the ways in which a person gives them to the page.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Tab, until } from "./browser.ts";

const all = mkdtempSync(join(tmpdir(), "bobbin-files-"));
process.on("exit", () => rmSync(all, { recursive: true, force: true }));

/** Files with these names, which are removed with the process. */
export function filesOf(contents: Record<string, string | Buffer>): string[] {
  const folder = mkdtempSync(join(all, "of-"));
  return Object.entries(contents).map(([name, content]) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  });
}

/** A picture of 2 × 2 pixels. */
export const PICTURE = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFElEQVR42mP8z8Dwn4GBgYGJAQoAHxcCAk+Uzr4AAAAASUVORK5CYII=", "base64");

/**
 * Copies the items that the code in `items` describes, in which `picture` is a PNG, and pastes them into the message.
 */
export async function paste(tab: Tab, items: string): Promise<void> {
  await tab.page.evaluate(`(async () => {
    const canvas = new OffscreenCanvas(8, 8);
    canvas.getContext("2d").fillRect(0, 0, 4, 4);
    const picture = await canvas.convertToBlob();
    await navigator.clipboard.write([new ClipboardItem(${items})]);
  })()`);
  await tab.field.press("Control+v");
}

/** Drops files there, with the events of a person's drag: enter, over and drop. */
export async function drop(tab: Tab, [x, y]: readonly [number, number], files: readonly string[]): Promise<void> {
  const devtools = await tab.page.context().newCDPSession(tab.page);
  const data = { items: [], files: [...files], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const) await devtools.send("Input.dispatchDragEvent", { type, x, y, data });
  await devtools.detach();
}

export async function pick(tab: Tab, files: readonly string[]): Promise<void> {
  const [chooser] = await Promise.all([tab.page.waitForEvent("filechooser"), tab.button("Attach files").press("Enter")]);
  await chooser.setFiles([...files]);
}

/** Waits until the pictures of the last message are visible, and returns their names. */
export async function picturesOf(tab: Tab, within: string): Promise<string[]> {
  const pictures = tab.page.locator(`${within} img`);
  await pictures.first().waitFor();
  return pictures.evaluateAll(async (all) => {
    const images = all as unknown as { decode(): Promise<void>; alt: string }[];
    await Promise.all(images.map((image) => image.decode()));
    return images.map(({ alt }) => alt);
  });
}

/** Waits until exactly these are uploaded. */
export async function attached(tab: Tab, names: readonly string[]): Promise<void> {
  await until(() => tab.page.locator(".attachments .file-name").allInnerTexts(), (all) => all.join() === names.join());
  // Each has a button to remove it, which it lacks while only its name is shown.
  await until(() => tab.page.locator(".attachments button.quiet").count(), (count) => count === names.length);
  await until(() => tab.page.locator(".attachments progress").count(), (count) => count === 0);
}
