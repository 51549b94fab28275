import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { summarizeAllocations } from '../../perf/profile/allocations.ts';
import { type ClinicNode, installClinic } from '../../perf/profile/clinic.ts';
import { clinicSamples } from '../../perf/profile/clinic-data.ts';
import { diagnose } from '../../perf/profile/doctor.ts';
import { summarize } from '../../perf/profile/summary.ts';
import type {
  AllocationNode,
  CallFrame,
  CpuProfile,
  ThreadHealth,
} from '../../src/profile/profile-report.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { issuerAt } from '../fixtures/tokens.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const place = tempDir();
const url = (path: string) => pathToFileURL(join(root, path)).href;
const frame = (functionName: string, path = '', lineNumber = 9): CallFrame => ({
  functionName,
  url: path,
  lineNumber,
  columnNumber: 4,
});

/** Each stack is seen for as many ms, in turn. */
function profileOf(...seen: { stack: CallFrame[]; ms: number }[]): CpuProfile {
  const nodes: { id: number; callFrame: CallFrame; children: number[] }[] = [
    { id: 1, callFrame: frame('(root)'), children: [] },
  ];
  const samples: number[] = [];
  const timeDeltas = [0];
  for (const { stack, ms } of seen) {
    let parent = nodes[0];
    for (const callFrame of stack) {
      const node = { id: nodes.length + 1, callFrame, children: [] };
      nodes.push(node);
      parent.children.push(node.id);
      parent = node;
    }
    samples.push(parent.id);
    timeDeltas.push(ms * 1000);
  }
  samples.push(1);
  return { nodes, startTime: 0, endTime: 0, samples, timeDeltas };
}

const router = frame('route', url('src/front/router.ts'));
const loop = frame('runWorker', url('workers/shard.ts'));

describe('a CPU profile as clinic reads it', () => {
  it.each([
    ['the project’s own', router, 'route /.js/holdfast/src/front/router.ts:10:5', 'JS'],
    [
      'a package’s',
      frame('run', url('node_modules/piscina/dist/worker.js')),
      'run /.js/holdfast/node_modules/piscina/dist/worker.js:10:5',
      'JS',
    ],
    ['Node’s', frame('fdatasyncSync', 'node:fs'), 'fdatasyncSync node:fs:10:5', 'JS'],
    // Under the name (anonymous), clinic would hide whatever called it.
    [
      'one of Node’s without a name',
      frame('', 'node:internal/timers'),
      'anonymous node:internal/timers:10:5',
      'JS',
    ],
    ['native code', frame('fdatasync'), 'fdatasync', 'CPP'],
    ['the collector', frame('(garbage collector)'), 'garbage collector', 'CPP'],
    [
      'a server’s from another folder',
      frame('route', 'file:///elsewhere/src/front/router.ts'),
      'route /.js/holdfast/src/front/router.ts:10:5',
      'JS',
    ],
  ])('names %s', (_, top, name, type) => {
    const profile = profileOf({ stack: [loop, top], ms: 1 });
    const [stack] = clinicSamples({ name: 'front-0', windowMs: 1, commands: null, profile });
    expect(stack.at(-1)).toEqual({ name, type });
    expect(stack[0].name).toMatch(/^front-0 /);
  });

  it('keeps the time of every stack, and leaves out waiting and the profiling itself', () => {
    const profile = profileOf(
      { stack: [loop, router], ms: 7 },
      { stack: [loop], ms: 0.5 },
      { stack: [router], ms: 2.5 },
      { stack: [frame('(idle)')], ms: 30 },
      { stack: [loop, frame('sleep', url('src/ring/doorbell.ts'))], ms: 40 },
      { stack: [loop, frame('rest', url('src/storage/storage-loop.ts')), frame('wait')], ms: 50 },
      { stack: [frame('take', url('src/profile/take-profile.ts')), frame('post', 'node:inspector')], ms: 60 },
    );
    const thread = { name: 'shard-0', windowMs: 1, commands: 0, profile };
    expect(clinicSamples(thread)).toHaveLength(10);
    const [{ busyPercent, functions, seconds }] = summarize([thread]);
    expect(seconds).toBeCloseTo(0.13);
    expect(busyPercent).toBeCloseTo((100 * 10) / 130);
    expect(functions.map(({ label }) => label)).toEqual([
      'route src/front/router.ts:10',
      'runWorker workers/shard.ts:10',
    ]);
    expect(functions[0].selfPercent).toBeCloseTo((100 * 9.5) / 130);
  });
});

it('adds up allocations by function, and shares them out over the commands of all workers where a thread runs none', () => {
  const node = (callFrame: CallFrame, selfSize: number, ...children: AllocationNode[]) => ({
    callFrame,
    selfSize,
    children,
  });
  const head = node(frame('(root)'), 0, node(router, 300, node(loop, 100)), node(router, 200));
  const threads = summarizeAllocations([
    { name: 'front-0', windowMs: 1, commands: null, profile: { head } },
    { name: 'shard-0', windowMs: 1, commands: 200, profile: { head } },
    { name: 'shard-1', windowMs: 1, commands: 100, profile: { head: node(frame('(root)'), 0) } },
  ]);
  expect(threads.map(({ bytes, bytesPerCommand }) => [bytes, bytesPerCommand])).toEqual([
    [600, 2],
    [600, 3],
    [0, 0],
  ]);
  expect(threads[0].functions[0]).toMatchObject({ label: 'route src/front/router.ts:10', bytes: 500 });
});

describe('the doctor', () => {
  const none = { count: 0, totalMs: 0, longestMs: 0 };
  const healthy: ThreadHealth = {
    name: 'shard-0',
    windowMs: 1000,
    commands: 1_000_000,
    cpuMs: 400,
    minorCollections: { count: 2, totalMs: 1, longestMs: 0.6 },
    majorCollections: none,
    allocatedBytes: 500_000,
    heapBytes: 1e7,
    eventLoopDelayMs: null,
    eventLoopUtilization: null,
  };
  const late = { mean: 9, p50: 8, p99: 40, max: 90 };

  it.each<[string, Partial<ThreadHealth>, RegExp | null]>([
    ['nothing wrong', {}, null],
    ['two bytes a command', { allocatedBytes: 2_000_000 }, /2\.00 bytes a command.*--allocations/],
    [
      'a full collection on a worker',
      { majorCollections: { count: 1, totalMs: 3, longestMs: 3 } },
      /1 full coll/,
    ],
    ['too few commands to tell', { commands: 10, allocatedBytes: 90_000 }, null],
    ['a long pause', { minorCollections: { count: 1, totalMs: 49, longestMs: 80 } }, /80 ms at the longest/],
    [
      'much time in collections',
      { minorCollections: { count: 90, totalMs: 90, longestMs: 1 } },
      /9\.00 % of its/,
    ],
    ['no core left', { cpuMs: 990 }, /99 % of a core.*--workers/],
    ['a late front', { name: 'front-0', commands: null, eventLoopDelayMs: late }, /p99 40 ms.*--fronts/],
    ['a storage thread that blocks', { name: 'storage', commands: null, eventLoopDelayMs: late }, null],
  ])('finds %s', (_, change, complaint) => {
    const { verdicts } = diagnose([{ ...healthy, ...change }]);
    const bad = verdicts.filter(({ ok }) => !ok).map(({ text }) => text);
    if (complaint === null) expect(bad).toEqual([]);
    else expect(bad.join()).toMatch(complaint);
  });

  it('tells the garbage of every worker', () => {
    const { garbage } = diagnose([healthy, { ...healthy, name: 'front-0', commands: null }]);
    expect(garbage).toEqual({
      'shard-0': { bytesPerCommand: 0.5, majorCollections: 0, commands: 1_000_000 },
    });
  });
});

/**
 * What every thread spends its time in; where there are several, one at least. The loops that never return are not among them: the
 * compiler replaces them while they run, and what they are called then varies.
 */
const HOT: Record<string, string[][]> = {
  'front-0': [['onFrame'], ['route', 'read'], ['endTurn'], ['pumpRing'], ['send', 'sendFrame']],
  'shard-0': [['runCommands'], ['runCommand'], ['executeCommand', 'executeHold'], ['hold']],
  storage: [['commit'], ['fdatasync', '#fdatasync']],
};

/** One more waits nearly all the time. */
const THREADS = [...Object.keys(HOT), 'watchdog'];

// Without a registry there is nothing that draws; what it would draw from is tested above.
const clinic = await installClinic().then(
  () => true,
  () => false,
);

/** What `npm run profile` runs, to its end. */
function start(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const main = join(root, 'perf/profile/main.ts');
  const node = ['--disable-warning=ExperimentalWarning', main, '--out', place('profiles'), ...args];
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      node,
      { env: { ...process.env, ...env } },
      (_error, stdout, stderr) => resolve({ status: child.exitCode, stdout, stderr }),
    );
  });
}

interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Of a server of its own, under load. */
async function run(...args: string[]) {
  const load = ['--connections', '16', '--in-flight', '20', '--serve', '--workers 1 --borrow off'];
  const done = await start(['hot', ...load, ...args]);
  expect(done.status, done.stderr).toBe(0);
  return JSON.parse(done.stdout);
}

describe('npm run profile', () => {
  it.each([
    [['zipf', '--live'], 'zipf'],
    [['--live', '--rate', '1000', '--skus', '7'], '--rate, --skus'],
    [['flash', '--port', '1', '--ttl', '9', '--detailed'], 'flash, --detailed, --ttl'],
    [['--url', 'http://127.0.0.1:1', '--serve', '--workers 2'], '--serve'],
  ])('plays nothing against a server that runs, and says so of %j', async (args, named) => {
    const { status, stdout, stderr } = await start(args);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`there is no use for ${named}: leave it away`);
  });

  it('looks at a server that runs, which goes on, with a token where it asks for one', async () => {
    const issuer = issuerAt(place('key.json'));
    const server = await startServer({ authKeys: issuer.authKeys });
    try {
      const live = ['--live', '--port', String(server.port), '--seconds', '0.2', '--no-html', '--json'];
      const refused = await start(live);
      expect([refused.status, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/took no profile: .*token/),
      ]);
      const token = await issuer.token('root', { scopes: ['admin'] });
      const { status, stdout, stderr } = await start(live, { HOLDFAST_TOKEN: token });
      expect(status, stderr).toBe(0);
      const { threads, directory } = JSON.parse(stdout);
      expect(threads.map(({ name }: { name: string }) => name)).toContain('shard-0');
      expect(readdirSync(directory)).toContain('front-0.cpuprofile');
      expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(200);
    } finally {
      await server.stop();
    }
  });

  it.skipIf(!clinic)(
    'draws every thread below a root of its own, the project’s functions as application code',
    // On a busy machine a thread may be seen in fewer of its functions within a second.
    () => longEnough(1000, draws),
    600_000,
  );

  async function draws(ms: number): Promise<void> {
    const { flameGraph, threads, directory } = await run(
      '--seconds',
      String(Math.min(ms, 16_000) / 1000),
      '--detailed',
      '--json',
    );
    expect(threads.map(({ name }: { name: string }) => name)).toEqual(THREADS);
    const tree = treeIn(readFileSync(flameGraph, 'utf8'));
    const drawn = tree.children.filter(({ functionName }) => functionName !== 'watchdog');
    expect(drawn.map(({ functionName }) => functionName).sort()).toEqual(Object.keys(HOT).sort());
    for (const thread of drawn) {
      const categories = new Map<string, string>();
      collect(thread, categories);
      for (const names of HOT[thread.functionName as string]) {
        const found = names.filter((name) => categories.has(name));
        expect(found, `${thread.functionName}: ${names} of ${[...categories.keys()]}`).not.toEqual([]);
        expect(found.map((name) => categories.get(name))).toEqual(found.map(() => 'app'));
      }
    }
    const files = readdirSync(directory);
    expect(files).toEqual(
      expect.arrayContaining([
        'front-0.cpuprofile',
        'shard-0.cpuprofile',
        'storage.cpuprofile',
        'summary.txt',
      ]),
    );
  }

  it('tells the garbage of workers under load', async () => {
    const { garbage, verdicts, threads } = await run('--doctor', '--tiny', '--json');
    expect(Object.keys(garbage)).toEqual(['shard-0']);
    expect(garbage['shard-0'].commands).toBeGreaterThan(0);
    expect(verdicts.length).toBeGreaterThanOrEqual(threads.length);
  });

  it('tells who allocates', async () => {
    const { threads, directory } = await run('--allocations', '--tiny', '--json');
    expect(threads.map(({ name }: { name: string }) => name)).toEqual(THREADS);
    expect(threads[0].bytes).toBeGreaterThan(0);
    expect(readdirSync(directory)).toContain('front-0.heapprofile');
  });
});

/** The tree that the page carries in its script. */
function treeIn(html: string): ClinicNode {
  const start = html.indexOf('{"appName"');
  let depth = 0;
  let quoted = false;
  for (let at = start; at < html.length; at++) {
    const char = html[at];
    if (quoted) {
      if (char === '\\') at += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{') depth += 1;
    else if (char === '}') {
      depth -= 1;
      if (depth === 0) return (JSON.parse(html.slice(start, at + 1)) as { merged: ClinicNode }).merged;
    }
  }
  throw new Error('the page carries no tree');
}

/** Category by function name; the project's own wins where a name is there twice. */
function collect(node: ClinicNode, into: Map<string, string>): void {
  const name = node.functionName ?? '';
  if (into.get(name) !== 'app') into.set(name, node.category);
  for (const child of node.children) collect(child, into);
}
