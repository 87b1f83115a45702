#!/usr/bin/env node
// `bobbin migrations copy [folder]` and `bobbin token`: what an application needs beside the package's code.
import { createHmac } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const USAGE = `bobbin migrations copy [folder]   copies the migrations of D1 that are not there yet (into migrations/)
bobbin token --secret SECRET --subject NAME [--hours 1] [--role viewer|editor|owner --sessions a,b|*]
                                  prints a JSON Web Token for AUTH=jwt, for development`;

const options = { secret: { type: "string" }, subject: { type: "string" }, hours: { type: "string" }, role: { type: "string" }, sessions: { type: "string" } };

try {
  const { positionals, values } = parseArgs({ allowPositionals: true, options });
  const [command, action, folder = "migrations"] = positionals;
  if (command === "migrations" && action === "copy") copyMigrations(folder);
  else if (command === "token" && action === undefined) console.log(tokenOf(values));
  else throw new Error(USAGE);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

function copyMigrations(folder) {
  const from = fileURLToPath(new URL("../migrations/", import.meta.url));
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(from).sort()) {
    const isThere = existsSync(join(folder, name));
    if (!isThere) copyFileSync(join(from, name), join(folder, name));
    console.log(`${isThere ? "kept  " : "copied"} ${join(folder, name)}`);
  }
}

function tokenOf({ secret, subject, hours = "1", role, sessions = "*" }) {
  if (!secret || !subject) throw new Error(USAGE);
  const seconds = Math.floor(Number(hours) * 3600);
  if (!(seconds > 0)) throw new Error("--hours is a number above 0");
  const named = role === undefined ? {} : { bobbin: { role, sessions: sessions.split(",") } };
  const claims = { sub: subject, exp: Math.floor(Date.now() / 1000) + seconds, ...named };
  const signed = [{ alg: "HS256", typ: "JWT" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
