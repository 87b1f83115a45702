// The footer of an answer: how it ended, what can be done with it, and its figures.
import type { Message, MessageMetadata, ResponseMetadata, Thread } from "bobbin-client";
import { type ReactNode, useContext, useId, useLayoutEffect, useRef, useState } from "react";
import { forking } from "../forking.ts";
import { atTime, inNumbers, inSeconds, t } from "../language.ts";
import { asSentence } from "../sentence.ts";
import { useStore } from "../store.ts";
import { CopyButton } from "../ui/copy_button.tsx";
import { Icon } from "../ui/icon.tsx";
import type { Lack } from "./ends.ts";
import { textOf } from "./exchanges.ts";
import { focusMessage } from "./focus.ts";
import { Actions } from "./near.tsx";
import { MayWrite, VersionArrows, forkFrom } from "./versions.tsx";

export type EndProps = {
  /** What the answer lacks although it is complete. */
  lack: Lack | undefined;
  /** Undefined unless the question may be sent again. */
  onRetry: (() => void) | undefined;
  onGoOn: () => void;
  /** Undefined if there is no question. */
  onRegenerate: (() => void) | undefined;
  /** Whether another answer was already asked for. */
  isAsked: boolean;
};

export function End({ thread, message, lack, onRetry, onGoOn, onRegenerate, isAsked }: EndProps & { thread: Thread; message: Message }) {
  const [isDetailed, setDetailed] = useState(false);
  const mayWrite = useContext(MayWrite);
  const isForking = useStore(forking).has(message.id);
  const figures = useId();
  const text = textOf(message.content);
  return (
    <footer className={`end ${lack ? "interrupted" : message.status}`}>
      {lack ? <p>{t.lacks[lack]}</p> : <Outcome message={message} />}
      <Actions className="end-actions">
        <VersionArrows thread={thread} message={message} />
        {mayWrite && onRetry && lack === "cut" && (
          <button type="button" className="small" onClick={onGoOn}>
            {t.goOn}
          </button>
        )}
        {mayWrite && onRetry && (
          <Again className="small" isAsked={isAsked} onAsk={onRetry}>
            {t.tryAgain}
          </Again>
        )}
        {text !== "" && <CopyButton text={text} what={t.theAnswer} />}
        {mayWrite && !onRetry && onRegenerate && (
          <Again className="quiet small" isAsked={isAsked} onAsk={onRegenerate}>
            {t.regenerate}
          </Again>
        )}
        {mayWrite && (
          <button type="button" className="quiet small" aria-disabled={isForking} onClick={() => void forkFrom(thread, message.id)}>
            <Icon name="fork" />
            {isForking ? t.forking : t.fork}
          </button>
        )}
        <button type="button" className="quiet small" aria-expanded={isDetailed} aria-controls={figures} onClick={() => setDetailed(!isDetailed)}>
          <Icon name="info" />
          {t.figures}
        </button>
      </Actions>
      {isDetailed && (
        <dl id={figures} className="figures">
          {rowsOf(message).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </footer>
  );
}

type AgainProps = { className: string; isAsked: boolean; onAsk: () => void; children: ReactNode };

/**
 * Asks for another answer, once. It keeps its place and the focus until the server has taken the request: otherwise the
 * next button would be under a second click.
 */
function Again({ className, isAsked, onAsk, children }: AgainProps) {
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    const element = button.current;
    return () => {
      if (element === document.activeElement) focusMessage();
    };
  }, []);
  return (
    <button type="button" ref={button} className={className} aria-disabled={isAsked} onClick={isAsked ? undefined : onAsk}>
      <Icon name="retry" />
      {children}
    </button>
  );
}

/** Everything that is known about the answer. */
function rowsOf({ createdAt, metadata, tokensUsed }: Message): [string, string][] {
  const known = of(metadata);
  const { figuresOf } = t;
  const rows: [string, string | undefined][] = [
    [figuresOf.time, atTime(createdAt)],
    [figuresOf.model, known.model],
    [figuresOf.latency, known.latencyMs ? inSeconds(known.latencyMs) : undefined],
    [figuresOf.tokens, known.usage ? inTokens(known.usage) : tokensUsed ? inNumbers(tokensUsed) : undefined],
    [figuresOf.finish, known.finishReason ?? known.finish],
    [figuresOf.omitted, known.omittedMessages ? t.omitted(inNumbers(known.omittedMessages)) : undefined],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== undefined);
}

/** The metadata of an answer's end; for an appended answer, the metadata that the program gave. */
const of = (metadata: MessageMetadata | undefined): Partial<ResponseMetadata> => (metadata ?? {}) as Partial<ResponseMetadata>;

function inTokens({ inputTokens, outputTokens, reasoningTokens, cachedTokens }: NonNullable<ResponseMetadata["usage"]>): string {
  const parts = [t.tokensIn(inNumbers(inputTokens), inNumbers(outputTokens))];
  if (reasoningTokens) parts.push(t.tokensThought(inNumbers(reasoningTokens)));
  if (cachedTokens) parts.push(t.tokensCached(inNumbers(cachedTokens)));
  return parts.join(", ");
}

function Outcome({ message: { status, error } }: { message: Message }): ReactNode {
  switch (status) {
    case "complete":
      return null;
    case "cancelled":
      return <p>{t.stopped}</p>;
    case "interrupted":
      return <p>{t.interrupted}</p>;
    case "failed":
      return (
        <p>
          <strong>{t.failed}</strong> {error ? asSentence(error.message) : ""}
        </p>
      );
  }
}
