import { t } from "../language.ts";
import { Dialog } from "../ui/dialog.tsx";

export function NeverAskDialog({ onEnd }: { onEnd: (isMeant: boolean) => void }) {
  return (
    <Dialog title={t.neverAsk} onClose={() => onEnd(false)}>
      <p>{t.neverAskMeans}</p>
      <div className="dialog-actions">
        <button type="button" onClick={() => onEnd(false)} data-first>
          {t.neverAskNo}
        </button>
        <button type="button" className="primary danger" onClick={() => onEnd(true)}>
          {t.neverAskYes}
        </button>
      </div>
    </Dialog>
  );
}
