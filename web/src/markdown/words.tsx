import { Fragment, type MouseEvent, type ReactNode } from "react";
import { t } from "../language.ts";
import { PlainText, characterStart } from "../ui/plain_text.tsx";
import { Formula } from "./formula.tsx";
import type { Child, Node } from "./parser.ts";

const SAFE_LINK = /^(https?:|mailto:)/i;

/** The browser takes quadratic time to break a longer word into lines. */
const WORD_CHARS_MAX = 500;

/** Text with its marks. HTML in it is shown as source. */
export const words = (children: readonly Child[]): ReactNode =>
  children.map((child, index) => <Fragment key={index}>{typeof child === "string" ? breakable(child) : marked(child)}</Fragment>);

/** A text that can be broken within its words, where these are very long. */
function breakable(text: string): ReactNode {
  if (text.length <= WORD_CHARS_MAX) return text;
  const parts: string[] = [];
  for (let from = 0, to: number; from < text.length; from = to) {
    to = from + WORD_CHARS_MAX < text.length ? characterStart(text, from + WORD_CHARS_MAX) : text.length;
    parts.push(text.slice(from, to));
  }
  if (parts.every((part) => /\s/.test(part))) return text;
  return parts.map((part, index) => (
    <Fragment key={index}>
      {part}
      {!/\s/.test(part) && <wbr />}
    </Fragment>
  ));
}

function marked(child: Exclude<Child, string>): ReactNode {
  if ("href" in child) return link(child.href, breakable(child.text));
  const { token, children } = child;
  switch (token.type) {
    case "strong_open":
      return <strong>{words(children)}</strong>;
    case "em_open":
      return <em>{words(children)}</em>;
    case "s_open":
      return <del>{words(children)}</del>;
    case "code_inline":
      return <code dir="auto">{breakable(token.content)}</code>;
    case "formula":
      return <Formula source={token.content} isBlock={/^(\$\$|\\\[)/.test(token.content)} />;
    case "note":
      return (
        <sup>
          <a href={`#${token.content}`} className="note-reference" onClick={toNote}>
            {token.content}
          </a>
        </sup>
      );
    case "tag_open": {
      const Name = token.tag as "sub";
      return <Name>{words(children)}</Name>;
    }
    case "hardbreak":
      return <br />;
    case "link_open":
      return link(hrefOf(child, "href"), words(children));
    // Loading it would tell a stranger that the answer was read.
    case "image":
      return link(hrefOf(child, "src"), t.imageOf(token.content || hrefOf(child, "src")));
    default:
      return (
        <span className="as-written">
          <PlainText text={token.content} />
        </span>
      );
  }
}

const hrefOf = ({ token }: Node, name: string): string => String(token.attrGet(name) ?? "");

function link(href: string, children: ReactNode): ReactNode {
  if (!SAFE_LINK.test(href)) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

/** Shows the note of the same answer. */
function toNote(event: MouseEvent<HTMLAnchorElement>): void {
  event.preventDefault();
  const name = event.currentTarget.textContent?.toLowerCase();
  const notes = event.currentTarget.closest(".markdown")?.querySelectorAll<HTMLElement>("[data-note]");
  const note = [...(notes ?? [])].find((note) => note.dataset["note"] === name);
  note?.scrollIntoView({ block: "nearest" });
  note?.focus();
}
