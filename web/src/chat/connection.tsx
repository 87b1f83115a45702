import type { ConnectionInfo, Thread, TurnState } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { useEffect, useState } from "react";
import { t } from "../language.ts";
import { focusMessage } from "./focus.ts";

export function ConnectionDot({ thread }: { thread: Thread }) {
  const status = useThreadState(thread, ({ status }) => status);
  return (
    <span className={`connection ${status}`} title={t.statuses[status]}>
      <span className="dot" aria-hidden="true" />
      <span className="connection-name">{t.statuses[status]}</span>
    </span>
  );
}

/** Shows what is wrong with the connection and what is done about it; shows nothing while all is well. */
export function ConnectionBanner({ thread }: { thread: Thread }) {
  const connection = useThreadState(thread, ({ connection }) => connection);
  const owed = useThreadState(thread, ({ turns }) => owedOf(turns));
  const { status, reason, retryAt } = connection;
  function hurry(): void {
    thread.open();
    focusMessage();
  }
  const isTroubled = status === "reconnecting" || status === "offline" || status === "failed";
  return (
    <div className="banner-place" role="status">
      {isTroubled && (
        <div className={`banner ${status}`}>
          <p>
            {reason} {(status === "failed" ? t.owedWhenFailed : t.owed)[owed]}
            {status === "reconnecting" && <Countdown retryAt={retryAt} />}
          </p>
          {canHurry(connection) && (
            <button type="button" className="small" onClick={hurry}>
              {status === "failed" ? t.connectAgain : t.tryNow}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

/** Only stored messages are shown as kept. */
type Owed = keyof typeof t.owed;

function owedOf(turns: readonly TurnState[]): Owed {
  const sending = turns.filter(({ state }) => state === "sending");
  if (sending.length === 0) return "nothing";
  return sending.every(({ isStored }) => isStored) ? "stored" : "in memory";
}

const canHurry = ({ status, retryAt }: ConnectionInfo): boolean => status === "failed" || retryAt !== null;

/** Only visible: a live region that counts would never stop talking. */
function Countdown({ retryAt }: { retryAt: number | null }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const seconds = retryAt === null ? 0 : Math.ceil((retryAt - now) / 1000);
  return <span aria-hidden="true">{seconds > 0 ? t.tryingIn(seconds) : t.tryingNow}</span>;
}
