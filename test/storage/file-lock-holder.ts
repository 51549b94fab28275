import { parentPort } from 'node:worker_threads';
import { possessFileStore } from '../../src/storage/file-store.ts';

/**
 * Another server, in a process or a thread of its own: takes the store at the address in its last argument, says how that went, and
 * keeps it until it is ended.
 */
const say = (what: string): void => {
  if (parentPort) parentPort.postMessage(what);
  else process.send?.(what);
};
try {
  await possessFileStore(process.argv.at(-1) as string, { segments: 1, create: true });
  say('taken');
} catch (error) {
  say(`${(error as { code: string }).code}: ${(error as Error).message}`);
}
setInterval(() => {}, 1000);
