import { memo, useLayoutEffect, useMemo, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { Contained } from "../ui/boundary.tsx";
import { PlainText } from "../ui/plain_text.tsx";
import { blocks } from "./blocks.tsx";
import { NOTHING, Reader } from "./reader.ts";
import type { Section, Unit } from "./reading.ts";

/** If there are more sections than this, only those in view are laid out. */
const SECTIONS_LAID_OUT_MAX = 4;
/** If a stream is this far ahead of the reader, the unread text is shown as source. */
const BEHIND_CHARS = 4000;

type Props = { text: string; isStreaming?: boolean };

/** Markdown. Text that is not read yet, and text beyond the page's limits, is shown as source. */
export const Markdown = memo(function Markdown({ text: source, isStreaming = false }: Props) {
  const text = useMemo(() => source.replace(/\r\n?/g, "\n").replaceAll("\0", "\ufffd"), [source]);
  const shown = useRead(text, isStreaming);
  const isBegun = text.startsWith(shown.text);
  const sections = isBegun ? shown.sections : [];
  const upTo = isBegun ? shown.upTo : 0;
  const className = sections.length > SECTIONS_LAID_OUT_MAX ? "markdown long" : "markdown";
  return (
    <div className={className}>
      {sections.map((section) => (
        <SectionOf key={section.units[0]?.from} section={section} />
      ))}
      {text.length - upTo > (isStreaming ? BEHIND_CHARS : 0) && <AsWritten text={text} from={upTo} />}
    </div>
  );
});

function useRead(text: string, isStreaming: boolean) {
  const [shown, setShown] = useState(NOTHING);
  const reader = useRef<Reader>(null);
  reader.current ??= new Reader((shown) => flushSync(() => setShown(shown)));
  const { current } = reader;
  useLayoutEffect(() => current.want(text, !isStreaming), [current, text, isStreaming]);
  useLayoutEffect(() => () => current.stop(), [current]);
  return shown;
}

const SectionOf = memo(function SectionOf({ section }: { section: Section }) {
  return (
    <div className="section">
      {section.units.map((unit) => (
        <UnitOf key={unit.from} unit={unit} />
      ))}
    </div>
  );
});

const UnitOf = memo(function UnitOf({ unit }: { unit: Unit }) {
  const { text, nodes, isOpen, isContinued } = unit;
  return <Contained text={text}>{nodes ? blocks(nodes, { isOpen, isContinued }) : <AsWritten text={text} />}</Contained>;
});

/** Without empty lines around it. */
function AsWritten({ text, from = 0 }: { text: string; from?: number }) {
  return (
    <div className="as-written" dir="auto">
      <PlainText text={text.trimEnd()} from={from + (text.slice(from).match(/^\s*/)?.[0].length ?? 0)} />
    </div>
  );
}
