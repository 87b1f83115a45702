import { fileRefusal } from "../files.ts";
import { useStore } from "../store.ts";

/** Why what was pasted or dropped is not in the message. */
export function FileRefusal() {
  const reason = useStore(fileRefusal);
  return reason ? (
    <p className="refusal" role="alert">
      {reason}
    </p>
  ) : null;
}
