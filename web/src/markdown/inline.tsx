import type { MarkedToken, Token } from "marked";
import { Fragment, type ReactNode } from "react";
import { decodeEntities } from "./entities.ts";

const SAFE_LINK = /^(https?:|mailto:)/i;

/** Text with its marks. HTML in it is shown as it was written. */
export function inline(tokens: readonly Token[] | undefined): ReactNode {
  return (tokens as readonly MarkedToken[] | undefined)?.map((token, index) => <Fragment key={index}>{span(token)}</Fragment>);
}

function span(token: MarkedToken): ReactNode {
  switch (token.type) {
    case "text":
      return "tokens" in token && token.tokens ? inline(token.tokens) : decodeEntities(token.text);
    case "escape":
      return token.text;
    case "strong":
      return <strong>{inline(token.tokens)}</strong>;
    case "em":
      return <em>{inline(token.tokens)}</em>;
    case "del":
      return <del>{inline(token.tokens)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "link":
      return link(token.href, inline(token.tokens));
    // Loading it would tell a stranger that the answer was read.
    case "image":
      return link(token.href, `Image: ${token.text || token.href}`);
    default:
      return token.raw;
  }
}

function link(href: string, children: ReactNode): ReactNode {
  if (!SAFE_LINK.test(href)) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}
