import type { MessagePort } from 'node:worker_threads';
import type { EngineMemory } from '../shard/memory.ts';
import { openStore } from './open.ts';
import { runStorage } from './storage-loop.ts';
import { type StoreAddress, StoreError, type StoreErrorCode, type WriterOptions } from './store.ts';

/** What the server hands to the storage thread. */
export interface StorageThreadData {
  memory: EngineMemory;
  address: StoreAddress;
  writer: WriterOptions;
}

/** What it is asked. */
export type StorageRequest =
  | { ask: 'trim'; segment: number; lsn: number }
  /** Answered by a position up to which all that was committed by now can be read, when it would survive a power loss. */
  | { ask: 'position' };

/** What it tells. */
export type StorageReport =
  | { tell: 'ready' }
  | { tell: 'position'; position: number }
  | { tell: 'trouble'; code: StoreErrorCode; message: string }
  | { tell: 'healed' }
  /** The journal stays longer than it need; the next snapshot tries again. */
  | { tell: 'trim-failed'; code: StoreErrorCode; message: string }
  /** It cannot go on; the thread ends. */
  | { tell: 'failed'; code: StoreErrorCode; message: string };

/** The storage thread from its start to its end. */
export async function storageThread(data: StorageThreadData, port: MessagePort): Promise<void> {
  const tell = (report: StorageReport): void => port.postMessage(report);
  const store = await openStore(data.address);
  try {
    const writer = store.writer(data.writer);
    port.on('message', (request: StorageRequest) => {
      if (request.ask === 'position') {
        try {
          writer.sync?.();
        } catch (error) {
          // Final for the next commit too, which may be long in coming.
          tell({ tell: 'failed', ...inWords(error) });
          process.exit(1);
        }
        tell({ tell: 'position', position: writer.position });
        return;
      }
      // What is not freed now is freed after the next snapshot.
      Promise.resolve()
        .then(() => writer.trim(request.segment, request.lsn))
        .catch((error: unknown) => tell({ tell: 'trim-failed', ...inWords(error) }));
    });
    tell({ tell: 'ready' });
    await runStorage({
      memory: data.memory,
      writer,
      onTrouble: (problem) =>
        tell(problem === undefined ? { tell: 'healed' } : { tell: 'trouble', ...inWords(problem) }),
    });
    await writer.close();
  } catch (error) {
    tell({ tell: 'failed', ...inWords(error) });
  } finally {
    await store.close().catch(() => {});
    port.close();
  }
}

function inWords(error: unknown): { code: StoreErrorCode; message: string } {
  if (error instanceof StoreError) return { code: error.code, message: error.message };
  return { code: 'FAILED', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
