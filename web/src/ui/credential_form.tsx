import { type FormEvent, useState } from "react";
import { credential, setCredential } from "../credential.ts";
import { t } from "../language.ts";
import { useStore } from "../store.ts";

/** For deployments that require a token. */
export function CredentialForm({ reason }: { reason: string }) {
  const [token, setToken] = useState("");
  const wasRefused = useStore(credential) !== null;

  function give(event: FormEvent): void {
    event.preventDefault();
    if (token.trim() !== "") setCredential(token.trim());
  }

  return (
    <form className="notice" onSubmit={give}>
      <h2>{t.asksForToken}</h2>
      {wasRefused && <p role="alert">{t.notAccepted(reason)}</p>}
      <label htmlFor="token">{t.token}</label>
      <textarea
        id="token"
        rows={4}
        autoComplete="off"
        spellCheck={false}
        value={token}
        onChange={(event) => setToken(event.target.value)}
        aria-describedby="token-hint"
      />
      <p id="token-hint" className="faint">
        {t.tokenHint}
      </p>
      <button type="submit" className="primary" disabled={token.trim() === ""}>
        {t.useToken}
      </button>
    </form>
  );
}
