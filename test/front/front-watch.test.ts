import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type FrontSign, FrontWatch, LOOKS } from '../../src/front/front-watch.ts';
import { FrontControl } from '../../src/shard/memory.ts';

/** A watch over two fronts, whose looks and heartbeats the test makes. */
function setUp() {
  const fronts = [0, 1].map(() => new SharedArrayBuffer(FrontControl.WORDS * 4));
  const controls = fronts.map((sab) => new Int32Array(sab));
  const signs: FrontSign[] = [];
  const watch = new FrontWatch({ fronts, silentMs: 400, lostMs: 1000 }, (sign) => signs.push(sign));
  /** So many looks, between which these fronts beat. */
  const look = (times: number, ...beating: number[]) => {
    for (let i = 0; i < times; i++) {
      for (const front of beating) Atomics.add(controls[front] as Int32Array, FrontControl.HEARTBEAT, 1);
      watch.look();
    }
  };
  const silent = () => controls.map((control) => control[FrontControl.SILENT]);
  return { watch, look, signs, silent };
}

describe('a front', () => {
  it('that beats is not told of', () => {
    const { look, signs, silent } = setUp();
    look(100, 0, 1);
    expect([signs, silent()]).toEqual([[], [0, 0]]);
  });

  it('that is silent is told of once, and so is that it is back', () => {
    const { watch, look, signs, silent } = setUp();
    expect(watch.everyMs).toBe(100);
    look(5, 0, 1);
    look(LOOKS - 1, 0);
    expect([signs, silent()]).toEqual([[], [0, 0]]);
    look(3, 0);
    expect([signs, silent()]).toEqual([[{ sign: 'silent', front: 1, silentMs: 400 }], [0, 1]]);
    look(1, 0, 1);
    expect(signs.slice(1)).toEqual([{ sign: 'back', front: 1, silentMs: 600 }]);
    expect(silent()).toEqual([0, 0]);
  });

  it('that stays silent is lost, which is said once', () => {
    const { look, signs } = setUp();
    look(1, 0, 1);
    look(50, 0);
    expect(signs.map(({ sign, front, silentMs }) => [sign, front, silentMs])).toEqual([
      ['silent', 1, 400],
      ['lost', 1, 1000],
    ]);
  });
});

it('a main thread that hangs ends its process, which says why', async () => {
  const program = fileURLToPath(new URL('../fixtures/hanging-process.ts', import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const [code, signal] = await once(child, 'close');
  expect([code, signal]).toEqual([null, 'SIGKILL']);
  expect(JSON.parse(errors)).toMatchObject({
    level: 'fatal',
    event: 'ending',
    detail: expect.stringMatching(/^front 0 has shown no sign of life for \d+ ms/),
  });
});
