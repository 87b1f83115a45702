// Bars, drawn by hand. Readable on a light and on a dark background.
import { median } from "./scenarios.mjs";

const WIDTH = 760;
const LEFT = 110;
const RIGHT = 150;
const BAR = 16;
const GAP = 4;
const COLOURS = { Bobbin: "#2f7ed8", AIChatAgent: "#e8833a", PartyServer: "#8a8f98", floor: "#4aa564" };

/** Groups of bars, each group with its own scale; a line across a bar goes from the minimum to the maximum. */
export function bars(title, groups, number) {
  const parts = [];
  let y = 34;
  for (const { label, bars: some } of groups) {
    parts.push(`<text x="0" y="${y + 12}" font-weight="600">${escape(label)}</text>`);
    y += 20;
    const most = Math.max(...some.flatMap(({ values }) => values), Number.MIN_VALUE);
    const scale = (value) => ((WIDTH - LEFT - RIGHT) * value) / most;
    for (const { name, values } of some) {
      const middle = median(values);
      const [from, to] = [Math.min(...values), Math.max(...values)].map((value) => LEFT + scale(value));
      const centre = y + BAR / 2;
      parts.push(
        `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${escape(name)}</text>`,
        `<rect x="${LEFT}" y="${y}" width="${Math.max(1, scale(middle)).toFixed(1)}" height="${BAR}" fill="${COLOURS[name]}"/>`,
        `<path d="M${from.toFixed(1)} ${centre}H${to.toFixed(1)}" stroke="#222" stroke-opacity=".6"/>`,
        `<text x="${(Math.max(to, LEFT + scale(middle)) + 6).toFixed(1)}" y="${y + 12}">${number(middle)}</text>`,
      );
      y += BAR + GAP;
    }
    y += 10;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 ${WIDTH + 20} ${y}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escape(title)}">
<rect x="-10" width="${WIDTH + 20}" height="${y}" fill="#fff"/>
<text x="0" y="20" font-size="15" font-weight="600">${escape(title)}</text>
${parts.join("\n")}
</svg>
`;
}

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
