import { useChat } from "@ai-sdk/react";
import { ActionBarPrimitive, AssistantRuntimeProvider, AuiIf, ComposerPrimitive, MessagePrimitive, ThreadPrimitive, type ToolCallMessagePartProps } from "@assistant-ui/react";
import { useAISDKRuntime } from "@assistant-ui/react-ai-sdk";
import { useThreadState } from "bobbin-client/react";
import { chat, thread } from "./chat";

export function Chat() {
  const helpers = useChat({ chat });
  const runtime = useAISDKRuntime(helpers);
  const connection = useThreadState(thread, ({ status, reason }) => (status === "ready" ? "" : reason));

  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <ThreadPrimitive.Root>
        <ThreadPrimitive.Viewport>
          <ThreadPrimitive.Messages components={{ UserMessage: Question, AssistantMessage: Answer }} />
        </ThreadPrimitive.Viewport>
        {helpers.error && <p role="alert">{helpers.error.message}</p>}
        <ComposerPrimitive.Root className="composer">
          <ComposerPrimitive.Input aria-label="Message" placeholder="Message" autoFocus />
          <AuiIf condition={({ thread }) => !thread.isRunning}>
            <ComposerPrimitive.Send>Send</ComposerPrimitive.Send>
          </AuiIf>
          <AuiIf condition={({ thread }) => thread.isRunning}>
            <ComposerPrimitive.Cancel>Stop</ComposerPrimitive.Cancel>
          </AuiIf>
        </ComposerPrimitive.Root>
        <footer role="status">{connection}</footer>
      </ThreadPrimitive.Root>
    </AssistantRuntimeProvider>
  );
}

const Question = () => (
  <MessagePrimitive.Root asChild>
    <article className="user">
      <MessagePrimitive.Parts />
    </article>
  </MessagePrimitive.Root>
);

const Answer = () => (
  <MessagePrimitive.Root asChild>
    <article className="assistant">
      <MessagePrimitive.Parts components={{ tools: { Fallback: Tool } }} />
      <ActionBarPrimitive.Root hideWhenRunning>
        <ActionBarPrimitive.Reload>Try again</ActionBarPrimitive.Reload>
      </ActionBarPrimitive.Root>
    </article>
  </MessagePrimitive.Root>
);

function Tool({ toolName, argsText, result, approval, respondToApproval }: ToolCallMessagePartProps) {
  const isAsked = approval !== undefined && approval.approved === undefined;
  return (
    <p className="aside">
      {toolName} <code>{argsText}</code> {typeof result === "string" ? result : JSON.stringify(result)}
      {approval?.approved === false && " was denied"}
      {isAsked && (
        <span>
          <button onClick={() => respondToApproval({ approved: true })}>Allow</button>
          <button onClick={() => respondToApproval({ approved: false })}>Deny</button>
        </span>
      )}
    </p>
  );
}
