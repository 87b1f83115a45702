const fetched = new Map<string, Promise<void>>();

/**
 * Every dynamic import is built as a call of this. A browser may remember that a script failed to load, and then fails
 * each later import of it without a request. So the scripts are fetched first, which can be repeated, and the import
 * finds them in the browser's cache.
 */
export async function importFetched<T>(load: () => Promise<T>, files: readonly string[] = []): Promise<T> {
  await Promise.all(files.map(fetchOnce));
  return load();
}

function fetchOnce(file: string): Promise<void> {
  const known = fetched.get(file);
  if (known) return known;
  const fetching = fetchScript(`/${file}`);
  fetched.set(file, fetching);
  fetching.catch(() => fetched.delete(file));
  return fetching;
}

async function fetchScript(path: string): Promise<void> {
  // The scripts that the document names are loaded already.
  if (document.querySelector(`link[href="${path}"]`)) return;
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  // A response that breaks off is not in the cache.
  await response.arrayBuffer();
}
