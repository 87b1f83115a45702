export const MESSAGE_FIELD = "message";

/** A touch keyboard has no other key for a new line, and covers what was opened to be read. */
export const hasTouchKeyboard = (): boolean => matchMedia("(pointer: coarse)").matches;

/** Where the focus goes when what had it is no more. */
export function focusMessage(): void {
  const field = hasTouchKeyboard() ? document.querySelector("h1") : document.getElementById(MESSAGE_FIELD);
  field?.focus();
}
