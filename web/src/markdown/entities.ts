/**
 * `&amp;` as the character that it stands for, for markdown-it: the browser knows all entities, which saves the
 * kilobytes of a table.
 */
export function decodeHTMLStrict(entity: string): string {
  const element = document.createElement("textarea");
  element.innerHTML = entity;
  return element.value;
}
