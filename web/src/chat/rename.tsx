import { useParts } from "../parts.ts";
import type { RenameProps } from "./rename_field.tsx";

export function Rename(props: RenameProps) {
  const Field = useParts()?.RenameField;
  return Field ? <Field {...props} /> : null;
}
