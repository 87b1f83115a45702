import type { Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type KeyboardEvent, Suspense, memo, useCallback, useEffect, useMemo, useRef } from "react";
import { giveEditBack, useEdited } from "../edits.ts";
import { finding } from "../find/finding.ts";
import { t } from "../language.ts";
import { lazyPart } from "../later.ts";
import { useStore } from "../store.ts";
import { Contained } from "../ui/boundary.tsx";
import { Icon } from "../ui/icon.tsx";
import { Answer } from "./answer.tsx";
import { regenerate, send } from "./deliver.ts";
import { useEarlier } from "./earlier.ts";
import { reasons } from "./ends.ts";
import { type Exchange, exchangesOf, inThrees, runningOf, textOf } from "./exchanges.ts";
import { focusMessage } from "./focus.ts";
import { useFollow } from "./follow.ts";
import { KeepPlace } from "./keep_place.tsx";
import { NearBy, useNear } from "./near.tsx";
import { usePlace } from "./places.ts";
import { Question } from "./question.tsx";

const FindBar = lazyPart("FindBar");

export function Transcript({ thread }: { thread: Thread }) {
  const messages = useThreadState(thread, ({ messages }) => messages);
  const running = useThreadState(thread, ({ turns }) => runningOf(turns));
  const known = useStore(reasons);
  const exchanges = useMemo(() => exchangesOf(messages, inThrees(running)), [messages, running, known]);
  const { scroller, content, isAway, toEnd, leave } = useFollow(useThreadState(thread, ({ turns }) => turns.findLast(({ state }) => state === "sending")?.requestId));
  const earlier = useEarlier(thread, scroller);
  const looked = useStore(finding);
  const fresh = useFresh(messages, isAway);
  usePlace(thread, scroller, leave);
  useLostEdit(thread);

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key !== "Home" || event.ctrlKey || event.metaKey || event.shiftKey || !earlier.hasEarlier || event.target !== scroller.current) return;
    event.preventDefault();
    leave();
    void earlier.loadAll();
  }

  return (
    <div className="transcript">
      {looked?.sessionId === thread.sessionId && (
        <Suspense>
          <FindBar key={looked.query} thread={thread} scroller={scroller} onJump={leave} query={looked.query} />
        </Suspense>
      )}
      <div className="scroller" ref={scroller} tabIndex={0} role="region" aria-label={t.conversation} onScroll={earlier.onScroll} onKeyDown={onKeyDown}>
        <div className="column" ref={content}>
          {earlier.hasEarlier && (
            <p className="earlier">
              <button type="button" className="small" onClick={earlier.load} aria-disabled={earlier.isLoading}>
                {earlier.isLoading ? t.loadingEarlier : t.loadEarlier}
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
        <button type="button" className={fresh > 0 ? "to-end fresh" : "to-end"} onClick={toEnd} aria-label={fresh > 0 ? `${t.toLatest}, ${t.newMessages(fresh)}` : t.toLatest}>
          <Icon name="down" />
          {fresh > 0 && t.newMessages(fresh)}
        </button>
      )}
    </div>
  );
}

/** How many messages arrived since the person left the end. */
function useFresh(messages: readonly { id: string }[], isAway: boolean): number {
  const last = messages.at(-1)?.id;
  const seen = useRef(last);
  useEffect(() => {
    if (!isAway) seen.current = last;
  }, [isAway, last]);
  if (!isAway) return 0;
  const at = messages.findLastIndex(({ id }) => id === seen.current);
  return at < 0 ? 0 : messages.length - 1 - at;
}

/** An edit whose message is not here any more, because somebody has changed the path, is given back. */
function useLostEdit(thread: Thread): void {
  const { sessionId } = thread;
  const edited = useEdited(sessionId);
  const isLost = useThreadState(thread, ({ isLoaded, messages }) => isLoaded && edited !== undefined && messages.every(({ id }) => id !== edited));
  useEffect(() => {
    if (isLost) giveEditBack(sessionId);
  }, [isLost, sessionId]);
}

const Item = memo(function Item({ thread, requestId, question, answer, running, lack, canRetry }: Exchange & { thread: Thread }) {
  const isRunning = running !== undefined;
  const place = useRef<HTMLLIElement>(null);
  const isNear = useNear(place, isRunning);
  const again = useCallback(() => {
    if (question) regenerate(thread, question.requestId);
  }, [thread, question]);
  const goOn = useCallback(() => {
    send(thread, t.pleaseGoOn);
    focusMessage();
  }, [thread]);
  return (
    <li ref={place} className={isRunning ? "exchange running" : "exchange"} data-request={requestId}>
      <NearBy value={isNear}>
        <Contained text={question ? textOf(question.content) : ""}>
          <Question thread={thread} requestId={running ?? requestId} message={question} isRunning={isRunning} />
        </Contained>
        {(isRunning || answer) && (
          <Contained text={answer ? textOf(answer.content) : ""}>
            <Answer
              thread={thread}
              requestId={running ?? answer?.requestId ?? requestId}
              message={answer}
              lack={lack}
              onRetry={canRetry ? again : undefined}
              onGoOn={goOn}
              onRegenerate={question && again}
              isAsked={isRunning}
            />
          </Contained>
        )}
      </NearBy>
    </li>
  );
});
