import { unstable_startWorker as startWorker } from "wrangler";
import { inRoot, readIfThere, runMain, say } from "./lib.mjs";

const FORWARDED =
  /^(AGENT(_(API_KEY|BASE_URL|(FIRST_TOKEN|IDLE|TURN)_TIMEOUT_MS|MODEL|RETRIES|SYSTEM_PROMPT))?|ECHO_DELAY_MS|CONCURRENT_TURNS|ALLOWED_ORIGINS|AUTH(_.+)?|MESSAGES_PER_MINUTE|INVALID_FRAMES|SOCKETS_PER_(THREAD|SUBJECT))$/;
const SECRETS = new Set(["AGENT_API_KEY", "AUTH_JWT_SECRET"]);

await runMain(async () => {
  const [host, port] = process.argv.slice(2);
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
  const vars = Object.entries(process.env).filter(([name, value]) => FORWARDED.test(name) && value !== "");
  if (isOpen()) vars.push(["AUTH", "none"]);
  return Object.fromEntries(
    vars.map(([name, value]) => [name, { type: SECRETS.has(name) ? "secret_text" : "plain_text", value }]),
  );
}

function isOpen() {
  const chosen = process.env.AUTH || (readIfThere(inRoot(".dev.vars")) ?? "").match(/^\s*AUTH\s*=\s*["']?(\w+)/m)?.[1];
  return (chosen ?? "none") === "none";
}
