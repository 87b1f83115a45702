const AGAIN_MS = 2000;
const AGAIN_MS_MAX = 30_000;

/** For a script whose absence makes the page poorer but not unusable: it is requested again until it loads. */
export async function untilLoaded<T>(load: () => Promise<T>): Promise<T> {
  for (let wait = AGAIN_MS; ; wait = Math.min(wait * 2, AGAIN_MS_MAX)) {
    try {
      return await load();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}
