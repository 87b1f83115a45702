// AIChatAgent with the same model as the others.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import worker, { chatWith } from "./chat.js";

export const Chat = chatWith(({ AGENT_BASE_URL: baseURL, AGENT_API_KEY: apiKey, AGENT_MODEL }) =>
  createOpenAICompatible({ name: "upstream", baseURL, apiKey })(AGENT_MODEL));

export default worker;
