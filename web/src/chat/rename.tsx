import { Suspense, lazy } from "react";
import { loadLater } from "../later.ts";
import { untilLoaded } from "../until_loaded.ts";
import type { RenameProps } from "./rename_field.tsx";

const RenameField = lazy(async () => ({ default: (await untilLoaded(loadLater)).RenameField }));

export const Rename = (props: RenameProps) => (
  <Suspense>
    <RenameField {...props} />
  </Suspense>
);
