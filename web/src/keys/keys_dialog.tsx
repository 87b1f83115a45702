import { t } from "../language.ts";
import { useStore } from "../store.ts";
import { Dialog } from "../ui/dialog.tsx";
import { areOn, turnKeys } from "./are_on.ts";

export function KeysDialog({ onClose }: { onClose: () => void }) {
  const on = useStore(areOn);
  return (
    <Dialog title={t.keysTitle} onClose={onClose}>
      <dl className="keys">
        {rows().map(([name, keys]) => (
          <div key={name}>
            <dt>{t.keyNames[name]}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <label className="switch">
        <input type="checkbox" checked={on} onChange={(event) => turnKeys(event.target.checked)} data-first /> {t.keysOn}
      </label>
      <p className="faint">{t.keysHint}</p>
    </Dialog>
  );
}

function rows(): [keyof typeof t.keyNames, string[]][] {
  const { up, down, control, command, alt, option, shift, escape, home, end } = t.keyLabels;
  const isMac = /mac|iphone|ipad/i.test(navigator.platform);
  const [main, other] = isMac ? [command, option] : [control, alt];
  return [
    ["help", ["?"]],
    ["search", [main, "K"]],
    ["find", [main, shift, "F"]],
    ["new", [main, shift, "O"]],
    ["write", [shift, escape]],
    ["stop", [escape]],
    ["edit", [up]],
    ["previous", [other, up]],
    ["next", [other, down]],
    ["first", [home]],
    ["last", [end]],
  ];
}
