import { type KeyboardEvent, type RefObject, useRef } from "react";
import { Icon } from "./icon.tsx";

export type MenuItem = { label: string; act: () => void; isDanger?: boolean };

type Props = { id: string; label: string; button: RefObject<HTMLButtonElement | null>; items: readonly MenuItem[] };

/** A button and its menu. The browser's own popover: it closes by itself, and the focus returns to the button. */
export function Menu({ id, label, button, items }: Props) {
  const popover = useRef<HTMLDivElement>(null);

  function onKeyDown(event: KeyboardEvent): void {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const buttons = [...(popover.current?.querySelectorAll("button") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons.at((at + by + (at < 0 && by < 0 ? 1 : 0)) % buttons.length)?.focus();
  }

  return (
    <>
      <button type="button" className="quiet" aria-label={label} popoverTarget={id} ref={button} onKeyDown={(event) => popover.current?.matches(":popover-open") && onKeyDown(event)}>
        <Icon name="more" />
      </button>
      <div id={id} className="menu" popover="auto" ref={popover} onKeyDown={onKeyDown}>
        {items.map(({ label, act, isDanger }) => (
          <button
            key={label}
            type="button"
            className={isDanger ? "danger" : undefined}
            onClick={() => {
              // Hides the menu before the action opens something, so that the focus returns to the button afterwards.
              popover.current?.hidePopover();
              act();
            }}
          >
            {label}
          </button>
        ))}
      </div>
    </>
  );
}
