import { type ReactNode, memo, useEffect, useState } from "react";
import { CopyButton } from "../ui/copy_button.tsx";
import type { Highlighted } from "./highlight.ts";

/** Longer code is shown plain. */
const HIGHLIGHT_CHARS_MAX = 30_000;

type Props = { code: string; language: string; isOpen?: boolean };

export const CodeBlock = memo(function CodeBlock({ code, language, isOpen = false }: Props) {
  const highlighted = useHighlighted(isOpen ? "" : code, language);
  return (
    <figure className="code">
      <figcaption>
        <span>{language || "text"}</span>
        <CopyButton text={code} what="the code" />
      </figcaption>
      <pre tabIndex={0}>
        <code>{highlighted ? spans(highlighted) : code}</code>
      </pre>
    </figure>
  );
});

function spans(nodes: readonly Highlighted[]): ReactNode {
  return nodes.map((node, index) =>
    typeof node === "string" ? (
      node
    ) : (
      <span key={index} className={node.className}>
        {spans(node.children)}
      </span>
    ),
  );
}

/** Colours come later and are never waited for. */
function useHighlighted(code: string, language: string): readonly Highlighted[] | undefined {
  const [found, setFound] = useState<{ code: string; nodes: readonly Highlighted[] | undefined }>();
  useEffect(() => {
    if (code === "" || language === "" || code.length > HIGHLIGHT_CHARS_MAX) return;
    let isWanted = true;
    import("./highlight.ts").then(
      ({ highlight }) => isWanted && setFound({ code, nodes: highlight(code, language) }),
      () => {},
    );
    return () => {
      isWanted = false;
    };
  }, [code, language]);
  return found?.code === code ? found.nodes : undefined;
}
