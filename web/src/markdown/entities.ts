/** `&amp;` as the character that it stands for, for markdown-it: the browser knows them all, in no further kilobytes. */
export function decodeHTMLStrict(entity: string): string {
  const element = document.createElement("textarea");
  element.innerHTML = entity;
  return element.value;
}
