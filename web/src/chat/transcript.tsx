import type { Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { memo, useCallback, useMemo } from "react";
import { useStore } from "../store.ts";
import { Contained } from "../ui/boundary.tsx";
import { Icon } from "../ui/icon.tsx";
import { Answer } from "./answer.tsx";
import { send } from "./deliver.ts";
import { useEarlier } from "./earlier.ts";
import { reasons } from "./ends.ts";
import { type Exchange, exchangesOf, textOf } from "./exchanges.ts";
import { focusMessage } from "./focus.ts";
import { useFollow } from "./follow.ts";
import { KeepPlace } from "./keep_place.tsx";
import { Question } from "./question.tsx";

export function Transcript({ thread }: { thread: Thread }) {
  const messages = useThreadState(thread, ({ messages }) => messages);
  const running = useThreadState(thread, ({ turns }) => turns.map(({ requestId }) => requestId));
  const known = useStore(reasons);
  const exchanges = useMemo(() => exchangesOf(messages, running), [messages, running, known]);
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
              {exchanges.map((exchange) => (
                <Item key={exchange.requestId} thread={thread} {...exchange} />
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

/** Said for a person whose answer was cut off. */
const GO_ON = "Please go on.";

const Item = memo(function Item({ thread, requestId, question, answer, isRunning, lack, canRetry }: Exchange & { thread: Thread }) {
  const retry = useCallback(() => {
    if (question) send(thread, question.content);
    focusMessage();
  }, [thread, question]);
  const goOn = useCallback(() => {
    send(thread, GO_ON);
    focusMessage();
  }, [thread]);
  return (
    <li className={isRunning ? "exchange running" : "exchange"} data-request={requestId}>
      <Contained text={question ? textOf(question.content) : ""}>
        <Question thread={thread} requestId={requestId} message={question} isRunning={isRunning} />
      </Contained>
      {(isRunning || answer) && (
        <Contained text={answer ? textOf(answer.content) : ""}>
          <Answer thread={thread} requestId={requestId} message={answer} lack={lack} onRetry={canRetry ? retry : undefined} onGoOn={goOn} />
        </Contained>
      )}
    </li>
  );
});
