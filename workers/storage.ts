import { parentPort, workerData } from 'node:worker_threads';
import { collectGarbage } from '../src/base/collect-garbage.ts';
import { type StorageThreadData, storageThread } from '../src/storage/storage-thread.ts';

// What loading the code has left. V8 would collect it some seconds later, in the middle of the load.
collectGarbage(false);
if (parentPort === null) throw new Error('the storage thread is started by the server');
await storageThread(workerData as StorageThreadData, parentPort);
