import type { Thread } from "bobbin-client";
import { useState } from "react";
import { useConfig } from "../config.ts";
import { credential } from "../credential.ts";
import { t } from "../language.ts";
import { rightsIn } from "../rights.ts";
import { pathOf } from "../router.ts";
import { CopyButton } from "../ui/copy_button.tsx";
import { Dialog } from "../ui/dialog.tsx";

/** The session's address and, where tokens open it, a link that contains a viewer's token. */
export function ShareDialog({ thread: { sessionId }, onClose }: { thread: Thread; onClose: () => void }) {
  const [token, setToken] = useState("");
  const config = useConfig();
  const link = location.origin + pathOf(sessionId);
  const isOpen = config?.auth.mode === "none" || (!config && credential.get() === null);
  const given = token.trim();
  const rights = given === "" ? undefined : rightsIn(given);
  return (
    <Dialog title={t.shareTitle} onClose={onClose}>
      <label htmlFor="share-link">{t.shareLink}</label>
      <input id="share-link" type="text" readOnly value={link} onFocus={(event) => event.target.select()} data-first />
      <p className="faint">{isOpen ? t.shareOpen : t.shareClosed}</p>
      <div className="dialog-actions">
        <CopyButton text={link} what={t.theLink} label={t.copyLink} />
      </div>
      {!isOpen && (
        <>
          <label htmlFor="share-token">{t.viewerToken}</label>
          <textarea id="share-token" rows={3} autoComplete="off" spellCheck={false} value={token} onChange={(event) => setToken(event.target.value)} aria-describedby="share-hint" />
          <p id="share-hint" className="faint">
            {t.viewerTokenHint}
          </p>
          {given !== "" && !rights && <p role="alert">{t.notAToken}</p>}
          {rights && !rights.onlyReads(sessionId) && <p role="alert">{t.notAViewer}</p>}
          {rights?.onlyReads(sessionId) && (
            <div className="dialog-actions">
              <CopyButton text={`${link}#token=${given}`} what={t.viewerLink} label={t.copyViewerLink} />
            </div>
          )}
        </>
      )}
    </Dialog>
  );
}
