// See later.ts.
export { fetchConfig } from "bobbin-client";
export { Edit } from "./chat/edit.tsx";
export { NeverAskDialog } from "./chat/never_ask_dialog.tsx";
export { RenameField } from "./chat/rename_field.tsx";
export { SessionDialog } from "./chat/session_dialog.tsx";
export { exportSession, printSession } from "./export/export.ts";
export { AttachmentList } from "./files/attachment_list.tsx";
export { FileView } from "./files/file_view.tsx";
export { upload } from "./files/upload.ts";
export { FindBar } from "./find/find_bar.tsx";
export { KeysDialog } from "./keys/keys_dialog.tsx";
export { DeleteSeveralDialog } from "./sessions/delete_several_dialog.tsx";
