import type { Message, Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type KeyboardEvent, type RefObject, useEffect, useMemo, useRef, useState } from "react";
import { announce } from "../announce.ts";
import { allOf } from "../chat/earlier.ts";
import { textOf } from "../chat/exchanges.ts";
import { focusMessage } from "../chat/focus.ts";
import { t } from "../language.ts";
import { Icon } from "../ui/icon.tsx";
import { finding } from "./finding.ts";
import { folded, wordsOf } from "./folding.ts";
import { mark, unmark } from "./marks.ts";

/** The delay between a keystroke and the search in unloaded messages. */
const LOOK_AFTER_MS = 300;
/** How many other hits are highlighted on either side of the shown one. */
const MARKED = 20;
/** How often a hit that is not drawn yet is looked for again. */
const TRIES_MAX = 30;

type Props = { thread: Thread; scroller: RefObject<HTMLElement | null>; onJump: () => void; query: string };

/** Finds messages of this session, including unloaded ones. The newest hit is shown first. */
export function FindBar({ thread, scroller, onJump, query: given }: Props) {
  const [query, setQuery] = useState(given);
  const [chosen, setChosen] = useState<string | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const words = useMemo(() => wordsOf(query), [query]);
  const messages = useThreadState(thread, ({ messages }) => messages);
  const hits = useMemo(() => (words.length === 0 ? [] : messages.filter((message) => isHit(message, words))), [messages, words]);
  const isLooking = useLook(thread, words);
  const at = Math.max(hits.findIndex(({ id }) => id === chosen), chosen === null ? hits.length - 1 : -1);
  const current = hits[at] ?? hits.at(-1);
  useMarks(scroller, words, hits, current, onJump);
  useEffect(() => field.current?.focus(), []);
  const said = hits.length > 0 ? t.hits(hits.indexOf(current as Message) + 1, hits.length) : words.length === 0 ? "" : isLooking ? t.looking : t.noHits;
  useEffect(() => {
    if (said !== "" && !isLooking) announce(said);
  }, [said, isLooking]);

  function step(by: number): void {
    const next = hits[(hits.indexOf(current as Message) + by + hits.length) % hits.length];
    if (next) setChosen(next.id);
  }

  function close(): void {
    finding.set(null);
    focusMessage();
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key === "Enter") step(event.shiftKey ? 1 : -1);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  }

  return (
    <div className="find-bar" role="search" aria-label={t.find}>
      <input
        ref={field}
        type="search"
        dir="auto"
        aria-label={t.findHint}
        placeholder={t.findHint}
        maxLength={200}
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setChosen(null);
        }}
        onKeyDown={onKeyDown}
      />
      <span className="find-count">{said}</span>
      <button type="button" className="quiet" aria-label={t.findPrevious} disabled={hits.length === 0} onClick={() => step(-1)}>
        <Icon name="up" />
      </button>
      <button type="button" className="quiet" aria-label={t.findNext} disabled={hits.length === 0} onClick={() => step(1)}>
        <Icon name="down" />
      </button>
      <button type="button" className="quiet" aria-label={t.findClose} onClick={close}>
        <Icon name="close" />
      </button>
    </div>
  );
}

const texts = new WeakMap<Message, string>();

function isHit(message: Message, words: readonly string[]): boolean {
  const text = texts.get(message) ?? folded(textOf(message.content));
  texts.set(message, text);
  return words.every((word) => text.includes(word));
}

/** Loads earlier messages as long as they may contain a hit. */
function useLook(thread: Thread, words: readonly string[]): boolean {
  const [isLooking, setLooking] = useState(false);
  const key = words.join(" ");
  useEffect(() => {
    if (key === "" || !thread.getSnapshot().hasEarlier) return;
    let isWanted = true;
    setLooking(true);
    const timer = setTimeout(async () => {
      await allOf(thread, () => isWanted).catch(() => {});
      if (isWanted) setLooking(false);
    }, LOOK_AFTER_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
      setLooking(false);
    };
  }, [thread, key]);
  return isLooking;
}

/** Shows the hit, and highlights it and the hits around it, again whenever their elements are redrawn. */
function useMarks(scroller: RefObject<HTMLElement | null>, words: readonly string[], hits: readonly Message[], current: Message | undefined, onJump: () => void): void {
  const shown = useRef<string>(undefined);
  useEffect(() => {
    const box = scroller.current;
    if (!box) return;
    let frame: number | undefined;
    let tries = 0;
    const at = current ? hits.indexOf(current) : -1;
    const around = hits.slice(Math.max(0, at - MARKED), at + MARKED + 1).filter((hit) => hit !== current);
    const elements = () => around.flatMap((hit) => articleOf(box, hit) ?? []);
    const name = current && `${current.id} ${words.join(" ")}`;
    function draw(): void {
      frame = undefined;
      const here = current ? articleOf(box as HTMLElement, current) : null;
      const range = mark(words, here, elements());
      if (!here || shown.current === name) return;
      // Folded text, or text that is not drawn yet, appears after a while.
      tries += 1;
      if (range || tries > TRIES_MAX) shown.current = name;
      onJump();
      here.scrollIntoView({ block: range ? "center" : "start" });
      if (!range) return unfold(here);
      reveal(range);
      requestAnimationFrame(() => reveal(mark(words, here, elements()) ?? range));
    }
    draw();
    const observer = new MutationObserver(() => (frame ??= requestAnimationFrame(draw)));
    observer.observe(box, { childList: true, subtree: true, characterData: true });
    return () => {
      observer.disconnect();
      if (frame !== undefined) cancelAnimationFrame(frame);
    };
  }, [scroller, words, hits, current, onJump]);
  useEffect(() => unmark, []);
}

const articleOf = (box: HTMLElement, { id }: Message): Element | null => box.querySelector(`[data-message="${CSS.escape(id)}"]`);

function unfold(here: Element): void {
  for (const button of here.querySelectorAll<HTMLElement>('.unfold[aria-expanded="false"]')) button.click();
}

function reveal(range: Range): void {
  const element = range.startContainer.parentElement;
  const details = element?.closest("details");
  if (details) details.open = true;
  element?.scrollIntoView({ block: "center" });
  // A long text is one element, so scrolling the element into view does not reach a place within it.
  const box = element?.closest(".scroller");
  if (!box) return;
  const [place, view] = [range.getBoundingClientRect(), box.getBoundingClientRect()];
  if (place.top < view.top || place.bottom > view.bottom) box.scrollTop += place.top - view.top - view.height / 2;
}
