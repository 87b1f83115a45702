export const MESSAGE_FIELD = "message";

/**
 * Says whether the device has a touch keyboard: it has no other key for a new line, and covers the text that somebody
 * opened to read.
 */
export const hasTouchKeyboard = (): boolean => matchMedia("(pointer: coarse)").matches;

/** Where the focus goes when the element that had it is gone. */
export function focusMessage(): void {
  const field = hasTouchKeyboard() ? document.querySelector("h1") : document.getElementById(MESSAGE_FIELD);
  field?.focus();
}
