const ENTITY = /&(#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});/gi;
const known = new Map<string, string>();

/** `&amp;` and its like as the characters that they stand for. */
export function decodeEntities(text: string): string {
  return text.includes("&") ? text.replace(ENTITY, decode) : text;
}

function decode(entity: string): string {
  const found = known.get(entity) ?? new DOMParser().parseFromString(entity, "text/html").body.textContent;
  known.set(entity, found);
  return found;
}
