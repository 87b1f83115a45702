// Runs within the Workers runtime.
import { SELF, env } from "cloudflare:test";
import { expect, test } from "vitest";

test("a thread answers in the pool", async () => {
  const response = await SELF.fetch("http://localhost/sessions/one/messages", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ requestId: "r1", content: "hi" }),
  });
  expect(await response.text()).toContain('"content":"Hello."');
  const { requestId } = await env.CHAT.getByName("one").append("and more");
  expect(requestId).toBeTruthy();
});
