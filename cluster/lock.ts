/** A lock between processes, which the kernel takes back when its holder ends, however it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** Waits until nobody else holds the lock that `file` stands for. */
export async function holdLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  const holder = spawn('flock', [file, 'sh', '-c', 'echo; read _'], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')]);
    return await work();
  } finally {
    holder.stdin.end();
  }
}
