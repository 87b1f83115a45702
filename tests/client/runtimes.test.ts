// The client outside Node.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { build } from "esbuild";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { start } from "../worker/harness.ts";

test("the client runs in a Worker", async (context) => {
  const bobbin = await start();
  context.after(bobbin.close);
  const { outputFiles } = await build({
    stdin: { contents: caller, resolveDir: fileURLToPath(new URL("../..", import.meta.url)) },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
  });
  const options = { modules: true, script: outputFiles[0]?.text ?? "", compatibilityDate: "2026-10-01", bindings: { URL: bobbin.url.href } };
  const worker = new Miniflare(convertV4MiniflareOptions(options));
  context.after(() => worker.dispose());
  const response = await worker.dispatchFetch("http://caller.test/");
  assert.deepEqual(await response.json(), { text: "Hello from a Worker", status: "complete", wellness: true });
});

const caller = `
  import { createThread, diagnose } from "bobbin-client";
  export default {
    async fetch(request, env) {
      const thread = createThread({ url: env.URL });
      const turn = thread.send("Hello from a Worker");
      let text = "";
      for await (const piece of turn) text += piece;
      const { status } = await turn.result;
      const { ok } = await diagnose(thread);
      thread.close();
      return Response.json({ text, status, wellness: ok });
    },
  };
`;
