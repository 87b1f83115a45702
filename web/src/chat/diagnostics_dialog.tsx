import { type DiagnosticsReport, type Thread, diagnose } from "bobbin-client";
import { useEffect, useState } from "react";
import { announce } from "../announce.ts";
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
    <Dialog title="Diagnostics" onClose={onClose}>
      <p>{report ? verdictOf(report) : "Checking the way to the server, step by step."}</p>
      {report && (
        <>
          <ul className="checks">
            {report.checks.map(({ name, ok, ms, detail }) => (
              <li key={name} className={ok ? "ok" : "bad"}>
                <Icon name={ok ? "check" : "close"} />
                <span>
                  <strong>{name}</strong> {ok ? "" : "failed: "}
                  {detail}
                </span>
                <span className="faint">{ms} ms</span>
              </li>
            ))}
          </ul>
          <details className="report">
            <summary>The whole report</summary>
            <pre tabIndex={0}>{String(report)}</pre>
          </details>
          <p className="faint">The report holds no token and nothing that was said.</p>
        </>
      )}
      <div className="dialog-actions">
        <button type="button" onClick={() => setRound(round + 1)} disabled={!report}>
          Check again
        </button>
        {report && <CopyButton text={String(report)} what="the report" label="Copy the report" />}
      </div>
    </Dialog>
  );
}

function verdictOf({ checks }: DiagnosticsReport): string {
  const failed = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  return failed.length === 0 ? "All is well." : `Something is wrong: ${failed.join(", ")}.`;
}
