import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Removes comments and the space between elements, which cost time on a slow line. */
const withoutSpace = (html: string) => html.replace(/<!--[\s\S]*?-->/g, "").replace(/>\s+</g, "><").trim();

export default defineConfig({
  root: here("."),
  resolve: {
    alias: [
      { find: /^bobbin-client$/, replacement: here("../client/src/index.ts") },
      { find: /^bobbin-client\/react$/, replacement: here("../client/src/react.ts") },
      // These are half of markdown-it's weight: names of characters that the browser knows, and a search for addresses
      // that is off.
      { find: /^entities$/, replacement: here("src/markdown/entities.ts") },
      { find: /^linkify-it$/, replacement: here("src/markdown/no_linkify.ts") },
    ],
  },
  plugins: [
    {
      // Replaces Vite's own loader, after which a browser would not request a script again that failed to load once.
      name: "fetched-imports",
      enforce: "pre",
      load: (id) => (id === "\0vite/preload-helper.js" ? `export { importFetched as __vitePreload } from ${JSON.stringify(here("src/import_fetched.ts"))};` : undefined),
    },
    {
      // Moves the styles after the page's placeholder, which would otherwise be shown no sooner than they have loaded.
      // Scripts still wait for styles at that place.
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
    // A dynamic import is told its own script, too, which Vite leaves out if the script has no dependencies.
    modulePreload: {
      polyfill: false,
      resolveDependencies: (file, deps, { hostType }) => (hostType === "js" ? [...new Set([file, ...deps])] : deps),
    },
    // The page's policy allows no data: URLs.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
