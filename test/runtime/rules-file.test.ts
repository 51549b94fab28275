import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type AdmissionRules, defaultRules } from '../../src/admission/rules.ts';
import type { LogEvent } from '../../src/log/events.ts';
import { RulesFile } from '../../src/runtime/rules-file.ts';
import { SettingsError } from '../../src/runtime/settings.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const inDir = tempDir();
let opened: RulesFile[] = [];
afterEach(async () => {
  await Promise.all(opened.map((rules) => rules.stop()));
  opened = [];
});

let files = 0;
/** A config file of this content, and what a server would see of it. */
async function openWith(content: unknown) {
  const path = inDir(`${files++}.json`);
  const write = (next: unknown) =>
    writeFileSync(path, typeof next === 'string' ? next : JSON.stringify(next));
  write(content);
  const applied: AdmissionRules[] = [];
  const logged: LogEvent[] = [];
  const rules = await RulesFile.open({
    path,
    authenticated: true,
    log: (event) => logged.push(event),
    apply: (changed) => applied.push(changed),
  });
  opened.push(rules);
  return { rules, path, write, applied, logged, last: () => applied.at(-1) };
}

const rated = (perSecond: number) => ({ admission: { holderRate: { perSecond } } });
const DEFAULTS = defaultRules(true);

describe('the rules of a config file', () => {
  it('are in force from the start, with the defaults of what it leaves out', async () => {
    const { rules, path, applied } = await openWith(rated(5));
    expect(rules.current).toEqual({ ...DEFAULTS, holderRate: { perSecond: 5, burst: 40 } });
    expect(applied).toEqual([]);
    const report = await rules.report();
    expect(report).toMatchObject({ rules: rules.current, file: path, problems: [] });
    expect(report.sources).toMatchObject({ holderRate: 'config file', depth: 'default' });
  });

  it('are the defaults where it has none, and where there is no file', async () => {
    expect((await openWith({ port: 0 })).rules.current).toEqual(DEFAULTS);
    const none = await RulesFile.open({
      path: undefined,
      authenticated: false,
      log: () => {},
      apply: () => {},
    });
    none.watch();
    expect(none.current).toEqual(defaultRules(false));
    expect(await none.report()).toMatchObject({ file: null, problems: [] });
    expect(await none.reload()).toBe('no file');
  });

  it('let no server start with a mistake, and all of them are told', async () => {
    const opening = openWith({ prot: 1, admission: { depth: 'on', holderRate: { burst: 0 } } });
    const error = await opening.catch((thrown) => thrown);
    expect(error).toBeInstanceOf(SettingsError);
    const { problems } = error as SettingsError;
    expect(problems).toHaveLength(3);
    for (const named of [/^prot in /, /admission\.depth = "on"/, /admission\.holderRate\.burst = 0/]) {
      expect(problems).toContainEqual(expect.stringMatching(named));
    }
    await expect(openWith('{"admission":')).rejects.toThrow(/is no JSON/);
    await expect(openWith('[]')).rejects.toThrow(/must hold one JSON object/);
  });
});

describe('a reload', () => {
  it('puts what has changed into force, and says what it was', async () => {
    const { rules, write, applied, logged } = await openWith(rated(5));
    write({ admission: { holderRate: { perSecond: 6 }, breakers: 'off' } });
    expect(await rules.reload()).toMatchObject({ changed: ['holderRate', 'breakers'] });
    expect(applied).toEqual([rules.current]);
    expect(rules.current).toEqual({
      ...DEFAULTS,
      holderRate: { perSecond: 6, burst: 40 },
      breakers: 'off',
    });
    expect(logged).toMatchObject([
      { event: 'rules-read', because: 'asked', changed: 'holderRate, breakers' },
    ]);
    expect(await rules.reload()).toMatchObject({ changed: [] });
    expect(applied).toHaveLength(1);
  });

  it.each<[string, unknown, RegExp]>([
    ['no JSON', '{"admission": {"depth"', /is no JSON/],
    ['no object', '7', /must hold one JSON object/],
    ['a wrong rule', rated(-1), /admission\.holderRate\.perSecond = -1 cannot be used/],
    ['a wrong setting beside right rules', { ...rated(9), port: -1 }, /port = -1 .* cannot be used/],
  ])('of a file with a mistake changes nothing and says why: %s', async (_, content, why) => {
    const { rules, write, applied, logged } = await openWith(rated(5));
    const before = rules.current;
    write(content);
    const outcome = await rules.reload();
    expect(outcome).toEqual({ problems: [expect.stringMatching(why)] });
    expect(applied).toEqual([]);
    expect(rules.current).toBe(before);
    expect((await rules.report()).problems).toEqual([expect.stringMatching(why)]);
    expect(logged).toMatchObject([{ event: 'rules-refused', detail: expect.stringMatching(why) }]);
    write(rated(7));
    expect(await rules.reload()).toMatchObject({ changed: ['holderRate'] });
    expect((await rules.report()).problems).toEqual([]);
  });

  it('says what only a new start would change', async () => {
    const { rules, write, logged } = await openWith({ port: 7071, ack: 'sync', ...rated(5) });
    write({ port: 7072, workers: 2, ack: 'sync', ...rated(5) });
    expect(await rules.reload()).toMatchObject({ changed: [] });
    expect(logged.at(-1)).toMatchObject({ event: 'settings-wait', settings: 'port, workers' });
  });
});

describe('a file that is watched', () => {
  // Looks and pauses go by a clock that the test moves, so that no busy machine makes a pause between two writes longer than it is.
  beforeEach(() =>
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval'] }),
  );
  afterEach(() => vi.useRealTimers());

  /** What there is to see, as time goes by. */
  const soon = <T>(see: () => T) =>
    expect.poll(async () => {
      await vi.advanceTimersByTimeAsync(50);
      return see();
    });

  it('is read when it is written, or another takes its place, or it is gone and comes again', async () => {
    const { rules, path, write, applied, last, logged } = await openWith(rated(5));
    rules.watch();
    write(rated(6));
    await soon(last).toMatchObject({ holderRate: { perSecond: 6 } });
    // As editors save.
    writeFileSync(`${path}.new`, JSON.stringify(rated(7)));
    renameSync(`${path}.new`, path);
    await soon(last).toMatchObject({ holderRate: { perSecond: 7 } });
    rmSync(path);
    await soon(() => logged.at(-1)).toMatchObject({ event: 'rules-refused' });
    const told = logged.length;
    expect(last()).toMatchObject({ holderRate: { perSecond: 7 } });
    // It is gone for more than one look, and that is said once.
    for (let look = 0; look < 3; look++) {
      await vi.advanceTimersByTimeAsync(1000);
      // The file is read by another thread, in its own time.
      await stat(path).catch(() => {});
    }
    expect(logged).toHaveLength(told);
    write(rated(8));
    await soon(last).toMatchObject({ holderRate: { perSecond: 8 } });
    expect(applied).toHaveLength(3);
  });

  it('is read when nobody writes to it any more', async () => {
    const { rules, write, last, logged } = await openWith(rated(5));
    rules.watch();
    const whole = JSON.stringify(rated(6), null, 4);
    // Longer than from one look to the next, so that one falls into it.
    for (let written = 1; written < 60; written++) {
      write(whole.slice(0, written));
      await vi.advanceTimersByTimeAsync(25);
    }
    write(whole);
    await soon(last).toMatchObject({ holderRate: { perSecond: 6 } });
    expect(logged).toMatchObject([{ event: 'rules-read', because: 'changed', changed: 'holderRate' }]);
  });
});
