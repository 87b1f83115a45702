import { Chat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithApprovalResponses, type UIMessage } from "ai";
import { createThread } from "bobbin-client";
import { createChatTransport } from "bobbin-client/ai-sdk";

// The URL contains the conversation's id, so a reload or another tab shows the same conversation.
if (!location.hash) history.replaceState(null, "", `#${crypto.randomUUID()}`);
addEventListener("hashchange", () => location.reload());
const id = location.hash.slice(1);

export const thread = createThread({ sessionId: id, storage: localStorage });
const transport = createChatTransport(thread);

export const chat = new Chat<UIMessage>({ id, transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });

// Shows live what other tabs and devices do.
transport.follow(chat);
