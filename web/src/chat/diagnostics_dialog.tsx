import { type DiagnosticsReport, type Thread, diagnose } from "bobbin-client";
import { useEffect, useState } from "react";
import { announce } from "../announce.ts";
import { t } from "../language.ts";
import { CopyButton } from "../ui/copy_button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";

export function DiagnosticsDialog({ thread, onClose }: { thread: Thread; onClose: () => void }) {
  const [report, setReport] = useState<DiagnosticsReport | null>(null);
  const [round, setRound] = useState(1);

  useEffect(() => {
    let isWanted = true;
    setReport(null);
    void diagnose(thread).then((found) => {
      if (!isWanted) return;
      setReport(found);
      announce(verdictOf(found));
    });
    return () => {
      isWanted = false;
    };
  }, [thread, round]);

  return (
    <Dialog title={t.diagnostics} onClose={onClose}>
      <p>{report ? verdictOf(report) : t.checking}</p>
      {report && (
        <>
          <ul className="checks">
            {report.checks.map(({ name, ok, ms, detail }) => (
              <li key={name} className={ok ? "ok" : "bad"}>
                <Icon name={ok ? "check" : "close"} />
                <span>
                  <strong>{name}</strong> {ok ? "" : t.checkFailed}
                  {detail}
                </span>
                <span className="faint">{ms} ms</span>
              </li>
            ))}
          </ul>
          <details className="report">
            <summary>{t.wholeReport}</summary>
            <pre tabIndex={0}>{String(report)}</pre>
          </details>
          <p className="faint">{t.reportHolds}</p>
        </>
      )}
      <div className="dialog-actions">
        <button type="button" onClick={() => setRound(round + 1)} disabled={!report}>
          {t.checkAgain}
        </button>
        {report && <CopyButton text={String(report)} what={t.theReport} label={t.copyReport} />}
      </div>
    </Dialog>
  );
}

function verdictOf({ checks }: DiagnosticsReport): string {
  const failed = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  return failed.length === 0 ? t.allWell : t.somethingWrong(failed.join(", "));
}
