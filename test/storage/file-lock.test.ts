import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { possessFileStore } from '../../src/storage/file-store.ts';

const HOLDER = new URL('./file-lock-holder.ts', import.meta.url);

describe('the possession of a directory', () => {
  let root: string;
  let url: string;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'holdfast-lock-'));
    url = `file:${root}/data`;
  });

  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child);
    rmSync(root, { recursive: true });
  });

  const possess = () => possessFileStore(url, { segments: 1, create: true });

  async function otherProcess(): Promise<{ child: ChildProcess; said: string }> {
    const child = fork(HOLDER, [url], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
    children.push(child);
    let complaints = '';
    child.stderr?.on('data', (data) => {
      complaints += data;
    });
    const [said] = await once(child, 'message');
    // Loading what is experimental must not show.
    expect(complaints).toBe('');
    return { child, said: String(said) };
  }

  it('excludes the same process, its threads, and other processes, until it is released', async () => {
    const possession = await possess();
    await expect(possess()).rejects.toMatchObject({ code: 'LOCKED' });
    const worker = new Worker(HOLDER, { argv: [url] });
    const [said] = await once(worker, 'message');
    expect(said).toMatch(/^LOCKED/);
    await worker.terminate();
    expect((await otherProcess()).said).toMatch(/^LOCKED/);
    await possession.release();
    expect((await otherProcess()).said).toBe('taken');
  });

  it('tells who has it, and what to do', async () => {
    const { child, said } = await otherProcess();
    expect(said).toBe('taken');
    await expect(possess()).rejects.toThrow(
      new RegExp(
        `${root}/data is in use by another server \\(process ${child.pid} on ${hostname()}, since 20\\S+\\)\\. Stop that one`,
      ),
    );
  });

  it('ends with kill -9', async () => {
    const { child } = await otherProcess();
    await kill(child);
    const possession = await possess();
    await possession.release();
  });

  it('leaves nothing behind that a next one would trip over', async () => {
    await (await possess()).release();
    expect(readdirSync(`${root}/data`).sort()).toEqual(['journal', 'lock', 'manifest', 'snapshots']);
    await (await possess()).release();
  });

  it('removes snapshots that were not finished, and no others', async () => {
    const possession = await possess();
    await possession.store.snapshots(possession.identity).write(0, 4, new Uint8Array([1]));
    await possession.release();
    writeFileSync(`${root}/data/snapshots/0000-0000000000000009-000000.snapshot.tmp`, 'half');
    await (await possess()).release();
    expect(readdirSync(`${root}/data/snapshots`)).toEqual(['0000-0000000000000004-000000.snapshot']);
  });
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
