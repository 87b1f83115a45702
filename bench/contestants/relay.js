// Both hand-written contestants relay a model's answer in the same way: each piece of text is a frame.
export async function* pieces(env, content) {
  const response = await fetch(`${env.AGENT_BASE_URL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${env.AGENT_API_KEY}` },
    body: JSON.stringify({ model: env.AGENT_MODEL, stream: true, messages: [{ role: "user", content }] }),
  });
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of response.body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      const text = JSON.parse(line.slice(6)).choices[0]?.delta?.content;
      if (text) yield text;
    }
  }
}
