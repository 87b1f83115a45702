import type { Block, Content } from "bobbin-client";

type Props = {
  content: Content;
  /** The calls that wait for an answer. */
  open?: readonly string[];
  decide?: (toolUseId: string, approved: boolean) => void;
};

/** Shows the blocks of a message in order. */
export function Blocks({ content, ...rest }: Props) {
  const blocks: Block[] = typeof content === "string" ? [{ type: "text", text: content }] : content;
  return blocks.map((block, index) => <One key={index} block={block} {...rest} />);
}

function One({ block, open = [], decide }: Omit<Props, "content"> & { block: Block }) {
  switch (block.type) {
    case "text":
      return <p>{block.text}</p>;
    case "thinking":
      return <p className="aside">{block.text}</p>;
    case "tool_use":
      return (
        <p className="aside">
          {block.title ?? block.name} <code>{JSON.stringify(block.input)}</code>
          {block.approval?.state === "denied" && " was denied"}
          {block.approval?.state === "requested" && open.includes(block.id) && (
            <span>
              <button onClick={() => decide?.(block.id, true)}>Allow</button>
              <button onClick={() => decide?.(block.id, false)}>Deny</button>
            </span>
          )}
        </p>
      );
    case "tool_result":
      return <p className="aside">{typeof block.content === "string" ? block.content : JSON.stringify(block.content)}</p>;
    case "source":
      return (
        <p className="aside">
          <a href={block.url}>{block.title ?? block.url}</a>
        </p>
      );
    default:
      return null;
  }
}
