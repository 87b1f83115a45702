import type { Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { useState } from "react";
import { notify } from "../announce.ts";
import { useConfig } from "../config.ts";
import { t } from "../language.ts";

/** The choice of the model, if there is one. */
export function ModelSelect({ thread }: { thread: Thread }) {
  const models = useConfig()?.models ?? [];
  const known = useThreadState(thread, ({ session }) => session?.model);
  const [chosen, setChosen] = useState<string | null>(null);
  if (models.length < 2) return null;

  async function choose(model: string): Promise<void> {
    setChosen(model);
    try {
      await thread.updateSession({ model });
    } catch {
      notify(t.modelFailed);
    }
    setChosen(null);
  }

  // A model that is no longer offered may still be the session's.
  const shown = chosen ?? known ?? models[0] ?? "";
  return (
    <label className="mode">
      <span className="visually-hidden">{t.model}</span>
      <select value={shown} onChange={(event) => void choose(event.target.value)}>
        {[...new Set([...models, shown])].map((model) => (
          <option key={model}>{model}</option>
        ))}
      </select>
    </label>
  );
}
