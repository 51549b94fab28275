import { parentPort, workerData } from 'node:worker_threads';
import { type StorageThreadData, storageThread } from '../src/storage/storage-thread.ts';

if (parentPort === null) throw new Error('the storage thread is started by the server');
await storageThread(workerData as StorageThreadData, parentPort);
