/** What input methods for Japanese, Chinese and Korean give every key that they take. */
const KEY_OF_INPUT_METHOD = 229;

/**
 * Enter and Escape in a composition choose a word or give it up; they send, stop, close and search nothing.
 * Safari tells of the Enter that ends a composition after its end: only its key code says whose it was.
 */
export function leaveCompositionsAlone(): void {
  addEventListener("keydown", onKeyDown, { capture: true });
}

function onKeyDown(event: KeyboardEvent): void {
  const isOfComposition = event.isComposing || event.keyCode === KEY_OF_INPUT_METHOD;
  if (!isOfComposition || (event.key !== "Enter" && event.key !== "Escape")) return;
  event.stopImmediatePropagation();
  // The input method has taken the key; the browser would submit a form by it, or close a dialog.
  event.preventDefault();
}
