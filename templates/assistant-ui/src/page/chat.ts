import { Chat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithApprovalResponses, type UIMessage } from "ai";
import { createThread } from "bobbin-client";
import { createChatTransport } from "bobbin-client/ai-sdk";

// The address names the conversation: it is there again after a reload, and in another tab.
if (!location.hash) history.replaceState(null, "", `#${crypto.randomUUID()}`);
addEventListener("hashchange", () => location.reload());
const id = location.hash.slice(1);

export const thread = createThread({ sessionId: id, storage: localStorage });
const transport = createChatTransport(thread);

export const chat = new Chat<UIMessage>({ id, transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });

// What other tabs and devices do is shown here as it comes.
transport.follow(chat);
