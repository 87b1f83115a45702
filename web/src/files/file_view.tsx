import { type FileBlock, type Thread, fetchFile } from "bobbin-client";
import { useFile } from "bobbin-client/react";
import { useEffect, useRef, useState } from "react";
import { t } from "../language.ts";
import { Icon } from "../ui/icon.tsx";
import { asSentence, wordsOf } from "../sentence.ts";
import { nameOfFile, ownFile } from "./attachments.ts";
import { isPicture } from "./lazy.tsx";
import { save } from "./save.ts";
import { sizeInWords } from "./size.ts";

/** A picture is loaded when it is nearly in view. */
const NEAR = "400px";

type Props = { thread: Thread; block: FileBlock };

/**
 * A file of a message: a picture is shown, everything else is named. The page loads nothing from other servers: such a
 * file is a link.
 */
export function FileView({ thread, block }: Props) {
  const { url, size } = block;
  const name = nameOfFile(block);
  const isHere = /^(data:|\/)/.test(url);
  const [error, setError] = useState("");
  return (
    <>
      {isPicture(block) && (
        <div className="frame">
          <Picture thread={thread} block={block} />
        </div>
      )}
      <figcaption>
        {!isPicture(block) && <Icon name="file" />}
        <span className="file-name" dir="auto">
          {/^https?:/.test(url) ? <a href={url} target="_blank" rel="noreferrer">{name}</a> : name}
        </span>
        {size !== undefined && <span className="faint">{sizeInWords(size)}</span>}
        {isHere && <Download thread={thread} block={block} onError={setError} />}
      </figcaption>
      {error && <span role="alert">{error}</span>}
    </>
  );
}

export function Picture({ thread, block }: Props) {
  const place = useRef<HTMLSpanElement>(null);
  const isNear = useNear(place);
  const [own] = useState(() => ownFile(block.url));
  const loaded = useFile(thread, block, isNear && !own);
  const url = useObjectUrl(own) ?? loaded.url;
  const [isBroken, setBroken] = useState(false);
  const error = isBroken ? t.pictureBroken : loaded.error && t.pictureFailed(asSentence(loaded.error.message));
  return (
    <span className="picture-place" ref={place}>
      {error ? <span className="faint">{error}</span> : url && <img src={url} alt={nameOfFile(block)} onError={() => setBroken(true)} />}
    </span>
  );
}

function Download({ thread, block, onError }: Props & { onError: (error: string) => void }) {
  const [isLoading, setLoading] = useState(false);

  async function download(): Promise<void> {
    if (isLoading) return;
    onError("");
    setLoading(true);
    try {
      save(ownFile(block.url) ?? (await fetchFile(thread, block)), block.name ?? "file");
    } catch (error) {
      onError(t.downloadFailed(asSentence(wordsOf(error))));
    }
    setLoading(false);
  }

  return (
    <button type="button" className="link" onClick={download} aria-disabled={isLoading} aria-label={t.downloadFile(nameOfFile(block))}>
      {isLoading ? t.loading : t.download}
    </button>
  );
}

function useObjectUrl(blob: Blob | undefined): string | null {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}

/** Whether it was nearly in view once. */
function useNear(place: React.RefObject<Element | null>): boolean {
  const [isNear, setNear] = useState(false);
  useEffect(() => {
    if (!place.current) return;
    const nearTo = { root: place.current.closest(".scroller"), rootMargin: NEAR };
    const observer = new IntersectionObserver((entries) => entries.some(({ isIntersecting }) => isIntersecting) && setNear(true), nearTo);
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [place]);
  return isNear;
}
