// A worker whose model a test answers by hand, for the duration of its file.
import { after } from "node:test";
import { start } from "../../worker/harness.ts";
import { Upstream } from "../../worker/upstream.ts";

export const upstream = await Upstream.start();
export const bobbin = await start({ vars: upstream.vars });
after(async () => {
  await bobbin.close();
  upstream.close();
});
