import { type ReactNode, memo, useEffect, useMemo, useState } from "react";
import { flushSync } from "react-dom";
import { t } from "../language.ts";
import { isPrinting } from "../printing.ts";
import { inSlices } from "../slices.ts";
import { useStore } from "../store.ts";
import { CopyButton } from "../ui/copy_button.tsx";
import { PlainText, lineOf, piecesOf } from "../ui/plain_text.tsx";
import type { Run } from "./highlight.ts";
import { highlighted } from "./highlighter.ts";

/** A piece with more colours is shown plain. */
const RUNS_MAX = 2000;

/** How many lines of longer code are shown until the rest is requested. */
const LINES_SHOWN = 60;

type Props = { code: string; language: string; isOpen?: boolean };

export const CodeBlock = memo(function CodeBlock({ code, language, isOpen = false }: Props) {
  const runs = useRuns(isOpen ? "" : code, language);
  const [isUnfolded, setUnfolded] = useState(false);
  const isPrinted = useStore(isPrinting);
  const { shown, lines } = useMemo(() => foldOf(code), [code]);
  const isWhole = shown.length === code.length || isUnfolded || isPrinted;
  const text = isWhole ? code : shown;
  return (
    <figure className="code" dir="ltr">
      <figcaption>
        <span>{language || "text"}</span>
        <CopyButton text={code} what={t.code} />
      </figcaption>
      <pre tabIndex={0}>
        <code>{runs ? <Coloured code={text} runs={runs} /> : <PlainText text={text} />}</code>
      </pre>
      {shown.length < code.length && (
        <button type="button" className="unfold quiet" aria-expanded={isWhole} onClick={() => setUnfolded(!isUnfolded)}>
          {isWhole ? t.fewerLines : t.allLines(lines)}
        </button>
      )}
    </figure>
  );
});

/** The beginning of long code, which does not change while the code grows. */
function foldOf(code: string): { shown: string; lines: number } {
  let [at, lines, end] = [0, 1, code.length];
  for (at = code.indexOf("\n"); at >= 0; at = code.indexOf("\n", at + 1), lines += 1) if (lines === LINES_SHOWN) end = at;
  return { shown: code.slice(0, end), lines };
}

/** Colours are added later and never waited for. */
function useRuns(code: string, language: string): readonly Run[] | undefined {
  const [found, setFound] = useState<{ code: string; runs: readonly Run[] | undefined }>();
  useEffect(() => {
    if (code === "" || language === "") return;
    let isWanted = true;
    void highlighted({ code, language }).then((runs) => isWanted && setFound({ code, runs }));
    return () => {
      isWanted = false;
    };
  }, [code, language]);
  return found?.code === code ? found.runs : undefined;
}

/** The pieces of a plain text, coloured one after the other. */
function Coloured({ code, runs }: { code: string; runs: readonly Run[] }): ReactNode {
  const pieces = useMemo(() => colouredPieces(code, runs), [code, runs]);
  const [count, setCount] = useState(0);
  useEffect(() => {
    let done = 0;
    return inSlices(() => {
      const weight = pieces[done]?.runs.length ?? 0;
      done += 1;
      flushSync(() => setCount(done));
      return { weight, isDone: done >= pieces.length };
    });
  }, [pieces]);
  const shown = pieces.map(({ text, runs }, index) => <Piece key={index} text={text} runs={index < count ? runs : []} />);
  if (shown.length === 1) return shown;
  return shown.map((piece, index) => (
    <span key={index} className="piece">
      {piece}
    </span>
  ));
}

type ColouredPiece = { text: string; runs: readonly Run[] };

const Piece = memo(function Piece({ text, runs }: ColouredPiece): ReactNode {
  if (runs.length === 0 || runs.length > RUNS_MAX) return text;
  return runs.map(([className, text], index) =>
    className === "" ? (
      text
    ) : (
      <span key={index} className={className}>
        {text}
      </span>
    ),
  );
});

function colouredPieces(code: string, runs: readonly Run[]): ColouredPiece[] {
  const left = [...runs].reverse();
  return piecesOf(code).map((piece) => {
    const text = lineOf(piece);
    const taken = take(left, text.length);
    take(left, piece.length - text.length);
    return { text, runs: taken };
  });
}

/** Removes this many characters from the end of a list. */
function take(left: Run[], chars: number): Run[] {
  const taken: Run[] = [];
  for (let room = chars; room > 0; ) {
    const [className, text] = left.pop() ?? ["", " ".repeat(room)];
    taken.push([className, text.slice(0, room)]);
    if (text.length > room) left.push([className, text.slice(room)]);
    room -= text.length;
  }
  return taken;
}
