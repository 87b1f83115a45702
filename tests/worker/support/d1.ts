import type { Bobbin } from "../harness.ts";
import type { Entry } from "./fold.ts";

/** The transcript that D1 has of a thread. */
export async function d1Of(bobbin: Bobbin, sessionId: string): Promise<Entry[]> {
  const rows = await bobbin.d1("SELECT * FROM messages WHERE session_id = ? ORDER BY seq", sessionId);
  return rows.map((row) => ({
    id: String(row["id"]),
    requestId: String(row["request_id"]),
    role: String(row["role"]),
    status: String(row["status"]),
    content: JSON.parse(String(row["content"])),
  }));
}
