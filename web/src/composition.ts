/** The key code that input methods for Japanese, Chinese and Korean give every key that they handle. */
const KEY_OF_INPUT_METHOD = 229;

/**
 * During a composition Enter and Escape choose or discard a word; they must not send, stop, close or search. Safari
 * reports the Enter that ends a composition after its end: only its key code shows that it was the input method's.
 */
export function leaveCompositionsAlone(): void {
  addEventListener("keydown", onKeyDown, { capture: true });
}

function onKeyDown(event: KeyboardEvent): void {
  const isOfComposition = event.isComposing || event.keyCode === KEY_OF_INPUT_METHOD;
  if (!isOfComposition || (event.key !== "Enter" && event.key !== "Escape")) return;
  event.stopImmediatePropagation();
  // The input method has handled the key; without this the browser would submit a form, or close a dialog.
  event.preventDefault();
}
