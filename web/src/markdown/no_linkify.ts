/** Replaces markdown-it's own search for addresses, which is turned off: `links.ts` finds them. */
export class LinkifyIt {}
