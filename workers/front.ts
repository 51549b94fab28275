import { parentPort, workerData } from 'node:worker_threads';
import { collectGarbage } from '../src/base/collect-garbage.ts';
import type { FrontEndOptions } from '../src/front/front-end.ts';
import { frontThread } from '../src/front/front-thread.ts';

// What loading the code has left. V8 would collect it some seconds later, in the middle of the load.
collectGarbage(false);
if (parentPort === null) throw new Error('a front on a thread of its own is started by the server');
await frontThread(workerData as FrontEndOptions, parentPort);
