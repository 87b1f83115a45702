import { getToolName, isToolUIPart, type UIMessage } from "ai";

type Props = {
  parts: UIMessage["parts"];
  decide: (approvalId: string, approved: boolean) => void;
};

/** Shows the parts of a message in order. */
export function Parts({ parts, decide }: Props) {
  return parts.map((part, index) => <One key={index} part={part} decide={decide} />);
}

function One({ part, decide }: { part: Props["parts"][number]; decide: Props["decide"] }) {
  if (part.type === "text") return <p>{part.text}</p>;
  if (part.type === "reasoning") return <p className="aside">{part.text}</p>;
  if (part.type === "source-url") {
    return (
      <p className="aside">
        <a href={part.url}>{part.title ?? part.url}</a>
      </p>
    );
  }
  if (!isToolUIPart(part)) return null;
  return (
    <>
      <p className="aside">
        {part.title ?? getToolName(part)} <code>{JSON.stringify(part.input)}</code>
        {part.state === "output-denied" && " was denied"}
        {part.state === "approval-requested" && (
          <span>
            <button onClick={() => decide(part.approval.id, true)}>Allow</button>
            <button onClick={() => decide(part.approval.id, false)}>Deny</button>
          </span>
        )}
      </p>
      {part.state === "output-available" && <p className="aside">{typeof part.output === "string" ? part.output : JSON.stringify(part.output)}</p>}
      {part.state === "output-error" && <p className="aside">{part.errorText}</p>}
    </>
  );
}
