import { Worker } from 'node:worker_threads';
import { Doorbell } from '../ring/doorbell.ts';
import { type EngineMemory, StorageControl, storageControlOf } from '../shard/memory.ts';
import type { StorageReport, StorageRequest, StorageThreadData } from '../storage/storage-thread.ts';
import { StoreError, type StoreErrorCode } from '../storage/store.ts';
import { threadUrl } from './thread-url.ts';

export interface StorageServiceOptions extends StorageThreadData {
  /** The store does not take what it is given, for now; undefined when it does again. */
  onTrouble: (problem: string | undefined) => void;
  /** Journal that is not needed any more could not be removed. */
  onTrimFailed: (problem: string) => void;
  /** The store failed for good; the server must end. */
  onFailed: (reason: string) => void;
}

/** The storage thread, as the main thread sees it. */
export class StorageService {
  private readonly options: StorageServiceOptions;
  private readonly thread: Worker;
  private readonly control: Int32Array;
  private readonly doorbell: Doorbell;
  private readonly ended: Promise<void>;
  private readonly positionAsked: ((position: number) => void)[] = [];
  private stopping = false;

  private constructor(options: StorageServiceOptions, memory: EngineMemory) {
    if (memory.storage === undefined) throw new Error('an engine without a store has no storage thread');
    this.options = options;
    this.control = storageControlOf(memory.storage);
    this.doorbell = new Doorbell(memory.storage.control, StorageControl.DOORBELL * 4);
    const { address, writer } = options;
    const workerData: StorageThreadData = { memory, address, writer };
    this.thread = new Worker(threadUrl('storage'), { name: 'storage', workerData });
    this.ended = new Promise((resolve) => this.thread.once('exit', () => resolve()));
  }

  /** Starts the thread; resolves when it takes events. */
  static async start(options: StorageServiceOptions): Promise<StorageService> {
    const service = new StorageService(options, options.memory);
    await service.online();
    return service;
  }

  /** Journal that a start would have to read, bytes. */
  get journalBytes(): number {
    return (this.control[StorageControl.JOURNAL_KIB] as number) * 1024;
  }

  /** Events of a segment up to an LSN may go. */
  trim(segment: number, lsn: number): void {
    this.ask({ ask: 'trim', segment, lsn });
  }

  /** A position up to which all that was committed by now can be read; it survives a power loss when this resolves, whatever the level. */
  position(): Promise<number> {
    return new Promise((resolve) => {
      this.positionAsked.push(resolve);
      this.ask({ ask: 'position' });
    });
  }

  /** Makes durable what waits, then ends the thread. Returns false when it was not done after `timeoutMs`, and was ended in the middle. */
  async stop(timeoutMs: number): Promise<boolean> {
    this.stopping = true;
    Atomics.store(this.control, StorageControl.STOP, 1);
    this.doorbell.ring();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    const whole = await Promise.race([this.ended.then(() => true), late]);
    clearTimeout(timer);
    await this.thread.terminate();
    return whole;
  }

  private ask(request: StorageRequest): void {
    this.thread.postMessage(request);
    this.doorbell.ring();
  }

  private online(): Promise<void> {
    return new Promise((resolve, reject) => {
      let failure: string | undefined;
      let code: StoreErrorCode = 'FAILED';
      let ready = false;
      this.thread.on('message', (report: StorageReport) => {
        switch (report.tell) {
          case 'ready':
            ready = true;
            resolve();
            break;
          case 'position':
            this.positionAsked.shift()?.(report.position);
            break;
          case 'trouble':
            this.options.onTrouble(report.message);
            break;
          case 'trim-failed':
            this.options.onTrimFailed(report.message);
            break;
          case 'healed':
            this.options.onTrouble(undefined);
            break;
          case 'failed':
            failure = report.message;
            code = report.code;
        }
      });
      this.thread.once('error', (error) => {
        failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      });
      this.thread.once('exit', (exitCode) => {
        const reason = failure ?? `the storage thread ended with code ${exitCode}`;
        if (!ready) reject(new StoreError(code, reason));
        else if (failure !== undefined || !this.stopping) this.options.onFailed(reason);
      });
    });
  }
}
