import { Chat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls, type UIMessage } from "ai";
import { createThread } from "bobbin-client";
import { createChatTransport } from "bobbin-client/ai-sdk";

// The address names the conversation: it is there again after a reload, and in another tab.
if (!location.hash) history.replaceState(null, "", `#${crypto.randomUUID()}`);
addEventListener("hashchange", () => location.reload());
const id = location.hash.slice(1);

export const thread = createThread({ sessionId: id, storage: localStorage });
const transport = createChatTransport(thread);

export const chat = new Chat<UIMessage>({
  id,
  transport,
  // The results of the tools that run here. Several tabs may give one: the first counts.
  onToolCall({ toolCall: { toolName, toolCallId } }) {
    if (toolName === "clock") void chat.addToolOutput({ tool: toolName, toolCallId, output: String(new Date()) });
  },
  sendAutomaticallyWhen: (chat) => lastAssistantMessageIsCompleteWithToolCalls(chat) || lastAssistantMessageIsCompleteWithApprovalResponses(chat),
});

// What other tabs and devices do is shown here as it comes.
transport.follow(chat);
