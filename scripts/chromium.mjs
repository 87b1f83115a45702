// Finds the browser in which the page is tested, and installs it by apt-get where that needs no questions.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { output, run, say } from "./lib.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const PLACES = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** The path of a Chromium. If there is none, it prints how to get one and returns undefined. */
export async function installChromium() {
  const found = findChromium() ?? (await fromDebian());
  if (!found) {
    say("SKIPPED: the page is not tested, for want of a Chromium: `apt-get install chromium`, or set CHROME_PATH to a Chrome");
  }
  return found;
}

function findChromium() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const onPath = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [process.env.CHROME_PATH, ...onPath, ...PLACES].find((path) => path && isExecutable(path));
}

async function fromDebian() {
  if (process.getuid?.() !== 0 || (await output("apt-get", ["--version"])) === undefined) return undefined;
  say("Installing Chromium by apt-get (a minute or two)");
  const quiet = { stdio: ["ignore", "ignore", "inherit"] };
  const install = () => run("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends", "chromium"], quiet);
  try {
    await install().catch(() => run("apt-get", ["update", "--quiet"], quiet).then(install));
  } catch (error) {
    say(error.message);
  }
  return findChromium();
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
