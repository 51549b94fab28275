import { InvalidArgumentError } from 'commander';
import { MAX_SEGMENTS } from '../../protocol/limits.ts';
import type { Point } from '../storage/offline-point.ts';

/** Date alone, or with a time that says its zone: what a clock on a wall says elsewhere is another moment. */
const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d))?$/;

/** `<segment>:<lsn>`, a time in ISO 8601 or in ms since the epoch. */
export function parsePoint(text: string): Point {
  const event = /^(\d{1,4}):(\d{1,16})$/.exec(text);
  if (event !== null) {
    const [segment, lsn] = [Number(event[1]), Number(event[2])];
    if (segment < MAX_SEGMENTS && lsn >= 1 && Number.isSafeInteger(lsn))
      return { kind: 'event', segment, lsn };
  }
  const timeMs = /^\d{1,15}$/.test(text) ? Number(text) : ISO.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs)) {
    throw new InvalidArgumentError(
      'It must be <segment>:<lsn> such as 3:1200, a time such as 2026-01-31T12:00:30.000Z, or ms since the epoch.',
    );
  }
  return { kind: 'time', timeMs };
}

/** The same, or `end`. */
export function parsePointOrEnd(text: string): Point {
  return text === 'end' ? { kind: 'end' } : parsePoint(text);
}
