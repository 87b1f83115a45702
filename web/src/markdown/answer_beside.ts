/** The worker's side of beside.ts: says that the worker is ready, and answers each request. */
export function answerBeside<Asked, Answer>(answer: (asked: Asked) => Answer | undefined): void {
  onmessage = ({ data }: MessageEvent<Asked>) => postMessage(answerOrNothing(() => answer(data)));
  postMessage("ready");
}

function answerOrNothing<Answer>(answer: () => Answer): Answer | undefined {
  try {
    return answer();
  } catch {
    return undefined;
  }
}
