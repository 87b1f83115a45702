import { Component, type ReactNode } from "react";
import { t } from "../language.ts";
import { PlainText } from "./plain_text.tsx";

type Props = { children: ReactNode; instead: (error: Error) => ReactNode };

/** Limits an error to its children: a replacement is shown for them, and everything around them works. */
export class Boundary extends Component<Props, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    return this.state.error ? this.props.instead(this.state.error) : this.props.children;
  }
}

/** A part of a conversation, or its source text if the part fails. */
export function Contained({ text, children }: { text: string; children: ReactNode }) {
  const written = () => (
    <span className="as-written" dir="auto">
      <PlainText text={text} />
    </span>
  );
  return <Boundary instead={written}>{children}</Boundary>;
}

/** Shown when the page itself fails, or one of its large parts. */
export const failed = (what: string) => (error: Error) => (
  <div className="notice" role="alert">
    <h2>{t.couldNotBeShown(what)}</h2>
    <p>{t.loadAgainBrings}</p>
    <p className="faint">{error.message}</p>
    <button type="button" className="primary" onClick={() => location.reload()}>
      {t.loadAgain}
    </button>
  </div>
);
