import { describe, expect, it } from 'vitest';
import { EVENTS, LOG_LEVELS, type LogEvent } from '../../src/log/events.ts';
import { createLogger, type LoggerOptions } from '../../src/log/logger.ts';

async function linesOf(events: readonly LogEvent[], options: Partial<LoggerOptions> = {}): Promise<string[]> {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'trace',
    format: 'json',
    write: (line) => lines.push(line),
    ...options,
  });
  for (const event of events) logger.log(event);
  logger.flush();
  return lines;
}

const SECRET = 'hunter2-and-more';
const died: LogEvent = { event: 'worker-died', worker: 3, fencedSegment: -1, detail: 'Error: no\n    at x' };

describe('a line', () => {
  it('is JSON with the time, the level, the event, its fields and the same words each time', async () => {
    const [line = '', ...others] = await linesOf([died]);
    expect(others).toEqual([]);
    expect(line.endsWith('}\n')).toBe(true);
    expect(JSON.parse(line)).toEqual({
      level: 'error',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      ...died,
      msg: EVENTS['worker-died'].says,
    });
  });

  it('has only the fields that the table of events lists', async () => {
    const more = {
      ...died,
      password: 'x',
      time: 'never',
      level: undefined,
      token: 'y',
    } as unknown as LogEvent;
    const [line = ''] = await linesOf([more]);
    const { level: _l, time, msg: _m, ...rest } = JSON.parse(line);
    expect(time).not.toBe('never');
    expect(rest).toEqual(died);
  });

  it('for people is one line without braces', async () => {
    const [line = '', ...others] = await linesOf([died], { format: 'pretty' });
    expect(others).toEqual([]);
    expect(line).toMatch(
      /^\d\d:\d\d:\d\d ERROR a thread died over its work event=worker-died worker=3 fencedSegment=-1 detail="Error: no\\n {4}at x"\n$/,
    );
  });
});

describe('levels', () => {
  const each: LogEvent[] = LOG_LEVELS.map((level) => ({ event: 'stopping', level }));
  const silence = [...LOG_LEVELS, 'silent'] as const;

  it.each(silence.map((level, i) => [level, LOG_LEVELS.slice(i)] as const))(
    '%s lets through %s',
    async (level, through) => {
      // One level at a time: these are one flood otherwise.
      const lines = (await Promise.all(each.map((event) => linesOf([event], { level })))).flat();
      expect(lines.map((line) => JSON.parse(line).level)).toEqual([...through]);
    },
  );
});

describe('no secret gets into a line', () => {
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWl0';
  it.each([
    ['a known one', `the key is ${SECRET}.`, SECRET],
    ['a password in an address', `connect redis://holdfast:${'pa55wd'}@db:6379 failed`, 'pa55wd'],
    ['a password with an @ in it', 'rediss://:p@ss@db:6379/0', 'p@ss'],
    ['a token', `bad token ${jwt}`, 'c2lnbmF0'],
    ['a token that is cut off', `bad token ${jwt.slice(0, 40)}`, 'eyJ'],
    ['an Authorization header', 'authorization: Bearer abcdef0123456789', 'abcdef'],
    ['a WebSocket subprotocol', 'sec-websocket-protocol: bearer.abcdef0123456789', 'abcdef'],
    ['a private key', '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----', 'MIIEvQ'],
    ['a private key that is cut off', '-----BEGIN EC PRIVATE KEY-----\nMIIEvQIBADANBg', 'MIIEvQ'],
    ['a private JWK', '{"kty":"EC","x":"aaa","d":"priv-ate"}', 'priv-ate'],
    ['a symmetric JWK', '{"kty":"oct", "k": "c2VjcmV0"}', 'c2VjcmV0'],
    ['a query', 'GET /v1/ws?token=s3cr3t-s3cr3t&x=1', 's3cr3t'],
    ['a value in JSON', '{"password": "s3cr3t"}', 's3cr3t'],
  ])('%s', async (_, text, secret) => {
    const [line = ''] = await linesOf([{ event: 'store-trouble', detail: text }], { secrets: [SECRET] });
    expect(line).not.toContain(secret);
    expect(line).toContain('…');
  });

  it('and what is none stays', async () => {
    const text =
      'segment 3: ENOSPC: no space left on device, write data/journal/0001.log; author: x; skip: 3';
    const [line = ''] = await linesOf([{ event: 'store-trouble', detail: text }]);
    expect(JSON.parse(line).detail).toBe(text);
  });
});

it('what a client chose neither moves the cursor of a terminal nor fills a disk', async () => {
  const detail = `\u001b[2J\u0007\u202e\r${'x'.repeat(100_000)}`;
  const [line = ''] = await linesOf([{ event: 'store-trouble', detail }]);
  expect(line.length).toBeLessThan(5000);
  expect(line).not.toMatch(/u001b|u0007|\\r|\u202e/);
});

it('every event has words of its own, and fields to fold by that it has', () => {
  const rows = Object.values(EVENTS);
  expect(new Set(rows.map(({ says }) => says)).size).toBe(rows.length);
  for (const { fields, foldBy } of rows) expect(fields).toEqual(expect.arrayContaining([...foldBy]));
});
