import { Suspense } from "react";
import { lazyPart } from "../later.ts";
import type { RenameProps } from "./rename_field.tsx";

const RenameField = lazyPart("RenameField");

export const Rename = (props: RenameProps) => (
  <Suspense>
    <RenameField {...props} />
  </Suspense>
);
