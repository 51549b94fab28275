import { Presets, SingleBar } from 'cli-progress';
import type { SkuBooks } from '../http.ts';
import { thousands } from '../output.ts';
import type { Tally } from './tally.ts';

/** Shows how a sale goes. */
export interface Progress {
  show(books: readonly SkuBooks[], tally: Tally): void;
  stop(): void;
}

const LINE_EVERY_MS = 1000;

/** A live bar on a terminal; elsewhere, as in a log file, a line each second. */
export function startProgress(out: NodeJS.WriteStream, stocked: number): Progress {
  return out.isTTY ? bar(out, stocked) : lines(out, stocked);
}

/** For output that only a program reads. */
export const silentProgress: Progress = { show: () => {}, stop: () => {} };

function bar(out: NodeJS.WriteStream, stocked: number): Progress {
  const single = new SingleBar(
    {
      stream: out,
      format:
        '  {bar} {value}/{total} sold   {held} held   {connected} connected   {visits} visits   {duration} s',
      hideCursor: true,
      barsize: 30,
    },
    Presets.shades_classic,
  );
  single.start(stocked, 0, { held: 0, connected: 0, visits: 0 });
  return {
    show: (books, { connected, visits }) => {
      single.update(sumOf(books, 'sold'), {
        held: sumOf(books, 'held'),
        connected,
        visits: thousands(visits),
      });
    },
    stop: () => single.stop(),
  };
}

function lines(out: NodeJS.WriteStream, stocked: number): Progress {
  const startedAt = performance.now();
  let lastAt = Number.NEGATIVE_INFINITY;
  return {
    show: (books, { connected, visits }) => {
      const now = performance.now();
      if (now - lastAt < LINE_EVERY_MS) return;
      lastAt = now;
      const seconds = ((now - startedAt) / 1000).toFixed(0).padStart(3);
      const sold = `${thousands(sumOf(books, 'sold'))} of ${thousands(stocked)} sold`;
      out.write(
        `${seconds} s  ${sold}, ${thousands(sumOf(books, 'held'))} held, ${thousands(connected)} connected, ${thousands(visits)} visits\n`,
      );
    },
    stop: () => {},
  };
}

function sumOf(books: readonly SkuBooks[], what: 'sold' | 'held'): number {
  return books.reduce((sum, book) => sum + book[what], 0);
}
