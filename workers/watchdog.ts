import { parentPort, workerData } from 'node:worker_threads';
import type { FrontWatchOptions } from '../src/front/front-watch.ts';
import { watchdogThread } from '../src/front/watchdog-thread.ts';

if (parentPort === null) throw new Error('the watchdog is started by the server');
watchdogThread(workerData as FrontWatchOptions, parentPort);
