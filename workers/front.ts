import { parentPort, workerData } from 'node:worker_threads';
import type { FrontEndOptions } from '../src/front/front-end.ts';
import { frontThread } from '../src/front/front-thread.ts';

if (parentPort === null) throw new Error('a front on a thread of its own is started by the server');
await frontThread(workerData as FrontEndOptions, parentPort);
