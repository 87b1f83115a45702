// Migrates the local database and serves the built worker: `node scripts/serve.mjs 127.0.0.1 8787`.
import { inRoot, readIfThere, run, runMain, say } from "./lib.mjs";

const { variables, secrets } = JSON.parse(readIfThere(inRoot("scripts", "variables.json")));

await runMain(async () => {
  const [host, port] = process.argv.slice(2);
  // Both take a second, most of it to load wrangler.
  const migrated = run("wrangler", ["d1", "migrations", "apply", "DB", "--local"], { stdio: ["ignore", "ignore", "inherit"] });
  const [{ unstable_startWorker: startWorker }] = await Promise.all([import("wrangler"), migrated]);
  const worker = await startWorker({
    config: inRoot("wrangler.toml"),
    bindings: bindings(),
    dev: { server: { hostname: host, port: Number(port) }, inspector: false, watch: true },
  });
  let stopping;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => (stopping ??= worker.dispose().then(() => process.exit())));
  }
  await worker.ready;
  if (isOpen()) say("AUTH=none: open to everyone on this machine. Set AUTH=jwt and AUTH_JWT_SECRET to close it.");
  say(`Bobbin is ready: http://localhost:${port}`);
});

function bindings() {
  const env = { ...process.env, ...(isOpen() && { AUTH: "none" }) };
  const of = (names, type) => names.filter((name) => env[name]).map((name) => [name, { type, value: env[name] }]);
  return Object.fromEntries([...of(variables, "plain_text"), ...of(secrets, "secret_text")]);
}

function isOpen() {
  const chosen = process.env.AUTH || (readIfThere(inRoot(".dev.vars")) ?? "").match(/^\s*AUTH\s*=\s*["']?(\w+)/m)?.[1];
  return (chosen ?? "none") === "none";
}
