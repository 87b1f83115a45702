// Builds and serves the worker on this machine: `npm start`, or `PORT=8788 npm start`.
import { createServer } from "node:net";
import { Failure, run, runMain } from "./lib.mjs";
import { setUp } from "./setup.mjs";

const HOST = "127.0.0.1";

await runMain(async () => {
  const port = Number(process.env.PORT || 8787);
  await checkPort(port);
  await setUp();
  await run("node", ["scripts/build.mjs"]);
  // In a process of its own, because wrangler needs the newer Node that the set-up brought.
  await run("node", ["scripts/serve.mjs", HOST, String(port)]);
});

async function checkPort(port) {
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Failure(`PORT=${process.env.PORT} is no port: give a number from 1 to 65535, as in \`PORT=8788 npm start\``);
  }
  const error = await listenError(port);
  if (error === undefined) return;
  const why = error.code === "EADDRINUSE" ? "is taken" : `cannot be used (${error.code})`;
  throw new Failure(`Port ${port} ${why}: choose another, as in \`PORT=${port === 8788 ? 8789 : 8788} npm start\``);
}

function listenError(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen(port, HOST, () => server.close(() => resolve(undefined)));
  });
}
