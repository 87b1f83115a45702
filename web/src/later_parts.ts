// See later.ts.
export { SessionDialog } from "./chat/session_dialog.tsx";
export { AttachmentList } from "./files/attachment_list.tsx";
export { FileView } from "./files/file_view.tsx";
export { upload } from "./files/upload.ts";
