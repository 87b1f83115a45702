import type { PermissionMode, Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { Suspense, useState } from "react";
import { notify } from "../announce.ts";
import { mayAsk, useConfig } from "../config.ts";
import { t } from "../language.ts";
import { lazyPart } from "../later.ts";

const NeverAskDialog = lazyPart("NeverAskDialog");
const MODES: readonly PermissionMode[] = ["default", "acceptEdits", "plan", "bypassPermissions"];

/**
 * What the agent may do without asking. Offered only if the agent can ask; choosing to never be asked has to be
 * confirmed.
 */
export function PermissionModeSelect({ thread }: { thread: Thread }) {
  const config = useConfig();
  const known = useThreadState(thread, ({ session }) => session?.permissionMode ?? "default");
  const [chosen, setChosen] = useState<PermissionMode | null>(null);
  const [isAsked, setAsked] = useState(false);
  if (known === "default" && !(config && mayAsk(config))) return null;

  async function set(mode: PermissionMode): Promise<void> {
    setChosen(mode);
    try {
      await thread.updateSession({ permissionMode: mode });
    } catch {
      notify(t.modeFailed);
    }
    setChosen(null);
  }

  function choose(mode: PermissionMode): void {
    if (mode === "bypassPermissions" && known !== mode) setAsked(true);
    else void set(mode);
  }

  return (
    <label className="mode">
      <span className="visually-hidden">{t.mode}</span>
      <select value={chosen ?? known} onChange={(event) => choose(event.target.value as PermissionMode)}>
        {MODES.map((mode) => (
          <option key={mode} value={mode}>
            {t.modes[mode]}
          </option>
        ))}
      </select>
      {isAsked && (
        <Suspense>
          <NeverAskDialog
            onEnd={(isMeant) => {
              setAsked(false);
              if (isMeant) void set("bypassPermissions");
            }}
          />
        </Suspense>
      )}
    </label>
  );
}
