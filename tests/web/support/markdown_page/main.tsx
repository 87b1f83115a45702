// `draw(text)` resolves when all of it is drawn; `stream(text)` draws it as it grows; `finish(text)` reports the text
// as complete when its first slice was read.
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import { Markdown } from "../../../../web/src/markdown/markdown.tsx";
import "../../../../web/src/styles/base.css";
import "../../../../web/src/styles/markdown.css";

const app = document.getElementById("app") as HTMLElement;
const root = createRoot(app);
let count = 0;

async function draw(text: string): Promise<string> {
  count += 1;
  root.render(<Markdown key={count} text={text} />);
  return settled();
}

async function stream(text: string, pieces: number): Promise<string> {
  count += 1;
  for (let piece = 1; piece <= pieces; piece += 1) {
    root.render(<Markdown key={count} text={text.slice(0, (text.length * piece) / pieces)} isStreaming />);
    await frame();
  }
  root.render(<Markdown key={count} text={text} />);
  return settled();
}

async function finish(text: string): Promise<string> {
  count += 1;
  flushSync(() => root.render(<Markdown key={count} text={text} isStreaming />));
  await Promise.resolve();
  flushSync(() => root.render(<Markdown key={count} text={text} />));
  return settled();
}

async function settled(): Promise<string> {
  for (let before = -1; before !== app.innerHTML.length; ) {
    before = app.innerHTML.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    await frame();
  }
  return app.textContent ?? "";
}

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

Object.assign(window, { draw, finish, stream });
