import { type Message, type Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { memo, useCallback, useMemo } from "react";
import { Contained } from "../ui/boundary.tsx";
import { Icon } from "../ui/icon.tsx";
import { Answer } from "./answer.tsx";
import { send } from "./deliver.ts";
import { useEarlier } from "./earlier.ts";
import { exchangesOf, textOf } from "./exchanges.ts";
import { focusMessage } from "./focus.ts";
import { useFollow } from "./follow.ts";
import { KeepPlace } from "./keep_place.tsx";
import { Question } from "./question.tsx";

export function Transcript({ thread }: { thread: Thread }) {
  const messages = useThreadState(thread, ({ messages }) => messages);
  const running = useThreadState(thread, ({ turns }) => turns.map(({ requestId }) => requestId));
  const exchanges = useMemo(() => exchangesOf(messages, running), [messages, running]);
  const { scroller, content, isAway, toEnd } = useFollow(running.at(-1));
  const earlier = useEarlier(thread, scroller);
  return (
    <div className="transcript">
      <div className="scroller" ref={scroller} tabIndex={0} role="region" aria-label="Conversation" onScroll={earlier.onScroll}>
        <div className="column" ref={content}>
          {earlier.hasEarlier && (
            <p className="earlier">
              <button type="button" className="small" onClick={earlier.load} aria-disabled={earlier.isLoading}>
                {earlier.isLoading ? "Loading earlier messages" : "Load earlier messages"}
              </button>
              {earlier.error && <span role="alert">{earlier.error}</span>}
            </p>
          )}
          <KeepPlace first={messages[0]?.id} scroller={scroller}>
            <ol className="exchanges">
              {exchanges.map(({ requestId, question, answer, isRunning, canRetry }) => (
                <Item key={requestId} {...{ thread, requestId, question, answer, isRunning, canRetry }} />
              ))}
            </ol>
          </KeepPlace>
        </div>
      </div>
      {isAway && (
        <button type="button" className="to-end" onClick={toEnd} aria-label="Go to the latest message">
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}

type ItemProps = {
  thread: Thread;
  requestId: string;
  question: Message | undefined;
  answer: Message | undefined;
  isRunning: boolean;
  canRetry: boolean;
};

const Item = memo(function Item({ thread, requestId, question, answer, isRunning, canRetry }: ItemProps) {
  const retry = useCallback(() => {
    if (question) send(thread, question.content);
    focusMessage();
  }, [thread, question]);
  return (
    <li className={isRunning ? "exchange running" : "exchange"} data-request={requestId}>
      <Contained text={question ? textOf(question.content) : ""}>
        <Question thread={thread} requestId={requestId} message={question} isRunning={isRunning} />
      </Contained>
      {(isRunning || answer) && (
        <Contained text={answer ? textOf(answer.content) : ""}>
          <Answer thread={thread} requestId={requestId} message={answer} onRetry={canRetry ? retry : undefined} />
        </Contained>
      )}
    </li>
  );
});
