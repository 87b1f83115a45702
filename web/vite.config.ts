import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Comments and the space between elements are not for who waits on a slow line. */
const withoutSpace = (html: string) => html.replace(/<!--[\s\S]*?-->/g, "").replace(/>\s+</g, "><").trim();

export default defineConfig({
  root: here("."),
  resolve: {
    alias: [
      { find: /^bobbin-client$/, replacement: here("../client/src/index.ts") },
      { find: /^bobbin-client\/react$/, replacement: here("../client/src/react.ts") },
      // Half of markdown-it's weight: names of characters that the browser knows, and a search for addresses that is off.
      { find: /^entities$/, replacement: here("src/markdown/entities.ts") },
      { find: /^linkify-it$/, replacement: here("src/markdown/no_linkify.ts") },
    ],
  },
  plugins: [
    {
      // What is loaded later is one script with nothing beside it: vite's own way to load has 600 bytes for what may be.
      name: "bare-imports",
      enforce: "pre",
      load: (id) => (id === "\0vite/preload-helper.js" ? "export const __vitePreload = (load) => load();" : undefined),
    },
    {
      // Behind the page's shape, which else would be seen no sooner than the styles have come. Scripts wait for them there, too.
      name: "styles-last",
      transformIndexHtml: {
        order: "post",
        handler(html) {
          const styles = html.match(/<link rel="stylesheet"[^>]*>/g) ?? [];
          const bare = styles.reduce((rest, style) => rest.replace(style, ""), html);
          return withoutSpace(bare.replace("</body>", `${styles.join("")}</body>`));
        },
      },
    },
  ],
  worker: { format: "es" },
  build: {
    target: "es2023",
    modulePreload: { polyfill: false },
    // The page's policy allows no data: URLs.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
