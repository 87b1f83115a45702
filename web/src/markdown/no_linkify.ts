/** In place of markdown-it's own search for addresses, which is turned off: they are found by `links.ts`. */
export class LinkifyIt {}
