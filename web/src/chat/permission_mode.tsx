import type { PermissionMode, Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { useState } from "react";
import { announce } from "../announce.ts";

const NAMES: Record<PermissionMode, string> = {
  default: "Ask before acting",
  acceptEdits: "Accept edits",
  plan: "Plan only",
  bypassPermissions: "Never ask",
};

/** What the agent may do without asking. */
export function PermissionModeSelect({ thread }: { thread: Thread }) {
  const known = useThreadState(thread, ({ session }) => session?.permissionMode ?? "default");
  const [chosen, setChosen] = useState<PermissionMode | null>(null);

  async function choose(mode: PermissionMode): Promise<void> {
    setChosen(mode);
    try {
      await thread.updateSession({ permissionMode: mode });
    } catch {
      announce("The permission mode could not be changed.");
    }
    setChosen(null);
  }

  return (
    <label className="mode">
      <span className="visually-hidden">Permission mode</span>
      <select value={chosen ?? known} onChange={(event) => void choose(event.target.value as PermissionMode)}>
        {Object.entries(NAMES).map(([mode, name]) => (
          <option key={mode} value={mode}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
