import type { ConnectionInfo, Thread, ThreadStatus, TurnState } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { useEffect, useState } from "react";
import { focusMessage } from "./focus.ts";

const NAMES: Record<ThreadStatus, string> = {
  idle: "Not connected",
  connecting: "Connecting",
  ready: "Connected",
  reconnecting: "Reconnecting",
  offline: "Offline",
  failed: "Disconnected",
};

export function ConnectionDot({ thread }: { thread: Thread }) {
  const status = useThreadState(thread, ({ status }) => status);
  return (
    <span className={`connection ${status}`} title={NAMES[status]}>
      <span className="dot" aria-hidden="true" />
      <span className="connection-name">{NAMES[status]}</span>
    </span>
  );
}

/** What is wrong with the connection and what is done about it; silent while all is well. */
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
            {reason} {(status === "failed" ? FAILED : WAITING)[owed]}
            {status === "reconnecting" && <Countdown retryAt={retryAt} />}
          </p>
          {canHurry(connection) && (
            <button type="button" className="small" onClick={hurry}>
              {status === "failed" ? "Connect again" : "Try now"}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

type Owed = "nothing" | "stored" | "in memory";

/** What is kept is said to be kept, and nothing else. */
const WAITING: Record<Owed, string> = {
  nothing: "What you send is delivered once the connection is back. ",
  stored: "Your message is kept, and delivered once the connection is back. ",
  "in memory": "Your message is delivered once the connection is back. This browser has no room to keep it: leave the page open until then. ",
};
const FAILED: Record<Owed, string> = {
  nothing: "",
  stored: "Your message is kept. ",
  "in memory": "Your message is only on this page: this browser has no room to keep it. ",
};

function owedOf(turns: readonly TurnState[]): Owed {
  const sending = turns.filter(({ state }) => state === "sending");
  if (sending.length === 0) return "nothing";
  return sending.every(({ isStored }) => isStored) ? "stored" : "in memory";
}

const canHurry = ({ status, retryAt }: ConnectionInfo): boolean => status === "failed" || retryAt !== null;

/** For eyes only: a live region that counts would never be quiet. */
function Countdown({ retryAt }: { retryAt: number | null }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const seconds = retryAt === null ? 0 : Math.ceil((retryAt - now) / 1000);
  return <span aria-hidden="true">{seconds > 0 ? `Trying again in ${seconds} s.` : "Trying now."}</span>;
}
