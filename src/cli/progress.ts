import { Presets, SingleBar } from 'cli-progress';
import type { RecoveryProgress } from '../runtime/start-up.ts';
import { thousands } from './output.ts';

/** Shows how far the restoring of a store has come. Ends with stop(), also when it failed. */
export interface RestoreProgress {
  show(progress: RecoveryProgress): void;
  stop(): void;
}

/** Sooner than this, nothing is shown: most stores are restored by then. */
const QUIET_MS = 1000;
const LINE_EVERY_MS = 1000;

/** A bar on a terminal, elsewhere a line each second. `plain` makes it lines everywhere, `now` tells ms. */
export function restoreProgress(
  out: NodeJS.WriteStream,
  plain = false,
  now: () => number = () => performance.now(),
): RestoreProgress {
  const startedMs = now();
  let lastMs = startedMs + QUIET_MS - LINE_EVERY_MS;
  let bar: SingleBar | undefined;
  return {
    show(progress) {
      const nowMs = now();
      if (nowMs - startedMs < QUIET_MS) return;
      if (out.isTTY && !plain) {
        bar ??= startBar(out, progress);
        bar.update(doneOf(progress), payload(progress));
      } else if (nowMs - lastMs >= LINE_EVERY_MS) {
        lastMs = nowMs;
        out.write(`Restoring: ${inWords(progress)}, ${Math.floor((nowMs - startedMs) / 1000)} s\n`);
      }
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}

function startBar(out: NodeJS.WriteStream, progress: RecoveryProgress): SingleBar {
  const bar = new SingleBar(
    {
      stream: out,
      format:
        '  {bar} {loaded}/{segments} segments loaded   {events} events   {checked} checked   {duration_formatted}',
      hideCursor: true,
      clearOnComplete: true,
      barsize: 30,
    },
    Presets.shades_classic,
  );
  bar.start(2 * progress.segments, 0, payload(progress));
  return bar;
}

/** Loading a segment's snapshot is one step, and the check of it, after its events, another. */
function doneOf({ loaded, checked }: RecoveryProgress): number {
  return loaded + checked;
}

function payload({ segments, loaded, events, checked }: RecoveryProgress): object {
  return { segments, loaded, events: thousands(events), checked };
}

function inWords({ segments, loaded, events, checked }: RecoveryProgress): string {
  return `${loaded} of ${segments} segments loaded, ${thousands(events)} events replayed, ${checked} segments checked`;
}

const LOOK_MS = 100;

/** Runs work that counts in shared memory (see RecoveryTask.progress), and shows how it goes on. */
export async function withProgress<T>(
  shown: RestoreProgress,
  segments: number,
  work: (progress: SharedArrayBuffer) => Promise<T>,
): Promise<T> {
  const memory = new SharedArrayBuffer(3 * 4);
  const counts = new Int32Array(memory);
  const timer = setInterval(
    () => shown.show({ segments, loaded: counts[0], events: counts[1], checked: counts[2] }),
    LOOK_MS,
  );
  try {
    return await work(memory);
  } finally {
    clearInterval(timer);
    shown.stop();
  }
}
