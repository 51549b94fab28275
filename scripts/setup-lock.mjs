import { rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TOUCH_MS = 1_000;
/** A lock that nobody touched for so long was left behind by a set-up that was killed. */
const STALE_MS = 15_000;
const RETRY_MS = 250;

/**
 * Runs `work` while holding a lock file. Two installs into one folder spoil each other, and a newcomer may
 * well type `npm start` and `npm run demo` in two terminals at once. The holder keeps touching the file; a
 * process id in it would lie across containers that share a folder.
 */
export async function withSetupLock(file, work) {
  let told = false;
  while (!take(file)) {
    if (ageMs(file) > STALE_MS) {
      rmSync(file, { force: true });
      continue;
    }
    if (!told) console.log('Another set-up is running in this folder; waiting for it.');
    told = true;
    await sleep(RETRY_MS);
  }
  const timer = setInterval(() => utimesSync(file, new Date(), new Date()), TOUCH_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
    rmSync(file, { force: true });
  }
}

function take(file) {
  try {
    writeFileSync(file, '', { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function ageMs(file) {
  // It may be gone by now: then it is free to take, not stale.
  const status = statSync(file, { throwIfNoEntry: false });
  return status === undefined ? 0 : Date.now() - status.mtimeMs;
}
