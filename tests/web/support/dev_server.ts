// Vite's development server with the examples of the documents, on a port of its own beside the worker, as developers
// use it.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { compile } from "svelte/compiler";
import { type Plugin, createServer } from "vite";
import { compileScript, parse } from "vue/compiler-sfc";

const root = fileURLToPath(new URL("../../..", import.meta.url));

export type DevServer = { url: string; load(file: string): Promise<Record<string, unknown>>; close(): Promise<void> };

export async function serve(files: Record<string, string>, packages: string[] = []): Promise<DevServer> {
  const folder = mkdtempSync(join(tmpdir(), "bobbin-dev-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
  for (const [name, contents] of Object.entries(files)) writeFileSync(join(folder, name), contents);
  const server = await createServer({
    root: folder,
    configFile: false,
    logLevel: "warn",
    cacheDir: join(folder, ".vite"),
    plugins: [vue, svelte],
    // In the form of Vue's plugin.
    define: { __VUE_OPTIONS_API__: "true", __VUE_PROD_DEVTOOLS__: "false", __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false" },
    // A dependency that Vite finds later would reload the page.
    optimizeDeps: { noDiscovery: true, include: ["react", "react-dom/client", "react/jsx-dev-runtime", ...packages] },
    resolve: { dedupe: ["react", "vue", "svelte"] },
    server: { host: "127.0.0.1", port: 0, hmr: false, watch: null, fs: { strict: false } },
  });
  await server.listen();
  return {
    url: server.resolvedUrls?.local[0] ?? "",
    load: (file) => server.ssrLoadModule(file),
    async close() {
      await server.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Compiles as the plugins for Vue and Svelte do, and no more: no styles and no hot replacement. */
const vue: Plugin = {
  name: "vue",
  async transform(code, id, options) {
    if (!id.endsWith(".vue")) return undefined;
    const { descriptor, errors } = parse(code, { filename: id });
    if (errors.length > 0) throw errors[0];
    const { content } = compileScript(descriptor, { id: "example", inlineTemplate: true, templateOptions: { ssr: options?.ssr ?? false, ssrCssVars: [] } });
    return (await transform(content, { loader: "ts", target: "es2022" })).code;
  },
};

const svelte: Plugin = {
  name: "svelte",
  transform(code, id, options) {
    if (!id.endsWith(".svelte")) return undefined;
    const { js, warnings } = compile(code, { filename: id, generate: options?.ssr ? "server" : "client", dev: !options?.ssr });
    if (warnings.length > 0) throw new Error(warnings.map(({ message }) => message).join("\n"));
    return js.code;
  },
};
