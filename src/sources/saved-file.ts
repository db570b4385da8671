/** Files on the sidecar’s own memory volume. They may hold secrets: only their owner reads them. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from '../telemetry/telemetry.ts';
import { errorCode } from './error-code.ts';

export interface SavedFile {
  /** Its JSON; undefined: none, or one that cannot be read, which is logged without its content. */
  load(): Promise<unknown>;
  /** The last call counts. Failures are logged: serving matters more. Resolves when nothing is left to write. */
  save(value: unknown): Promise<void>;
}

export function createSavedFile(file: string, log: Log): SavedFile {
  let writing: Promise<void> | undefined;
  let next: { readonly value: unknown } | undefined;

  async function write(): Promise<void> {
    while (next !== undefined) {
      const { value } = next;
      next = undefined;
      try {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        await writeAtomically(file, JSON.stringify(value));
      } catch (error) {
        log.warn({ file, code: errorCode(error) }, 'what a restart would need could not be saved');
      }
    }
    writing = undefined;
  }

  return {
    async load() {
      try {
        return JSON.parse(await readFile(file, 'utf8')) as unknown;
      } catch (error) {
        const code = errorCode(error);
        // The error of JSON.parse repeats the text.
        if (code !== 'ENOENT') log.warn({ file, code }, 'what was saved cannot be read');
        return undefined;
      }
    },
    save(value) {
      next = { value };
      writing ??= write();
      return writing;
    },
  };
}

/** Whoever reads the file sees the old or the new content whole, also after a crash. */
async function writeAtomically(file: string, text: string): Promise<void> {
  const draft = `${file}.new`;
  const handle = await open(draft, 'w', 0o600);
  try {
    // One that a crash left behind kept its mode.
    await handle.chmod(0o600);
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
  await rename(draft, file);
}
