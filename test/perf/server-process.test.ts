import { describe, expect, it } from 'vitest';
import { environment, ServerProcess } from '../../perf/server-process.ts';

const READY = 'console.log(JSON.stringify({ port: 7 })); setInterval(() => {}, 1000);';

describe('a server process', () => {
  it('is ready with its port, and stops with 0', async () => {
    const server = await start(`process.on('SIGTERM', () => process.exit(0)); ${READY}`);
    expect(await server.port).toBe(7);
    await server.stop();
    expect(isAlive(server.pid)).toBe(false);
  });

  it.each([
    ['as a rule', {}, 'glibc.malloc.hugetlb=1'],
    ['unless they are turned off', { HOLDFAST_HUGE_PAGES: 'off' }, undefined],
    ['as its parent does', { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=2' }, 'glibc.malloc.hugetlb=2'],
  ])('asks for huge pages %s', (_when, env, tunables) => {
    expect(environment(env).GLIBC_TUNABLES).toBe(tunables);
  });

  it.each([
    [
      'dies at once',
      "console.error('no such luck'); process.exit(4)",
      /ended by itself with 4[\s\S]*no such luck/,
    ],
    [
      'says something else',
      "console.log('hello'); setInterval(() => {}, 1000)",
      /ready without a port: hello/,
    ],
    ['has no port', "console.log('{}'); setInterval(() => {}, 1000)", /ready without a port/],
  ])('that %s is not ready, and its error output is told', async (_name, code, message) => {
    await expect(start(code)).rejects.toThrow(message);
  });

  it.each([
    ['another exit code', `process.on('SIGTERM', () => process.exit(9)); ${READY}`, /stopped with 9/],
    ['the signal itself', READY, /stopped with SIGTERM/],
  ])('that stops with %s has not stopped well', async (_name, code, message) => {
    const server = await start(code);
    await expect(server.stop()).rejects.toThrow(message);
  });

  it('can be killed, which is not its failure', async () => {
    const server = await start(READY);
    await server.kill();
    expect(isAlive(server.pid)).toBe(false);
    await server.stop();
    expect(await Promise.race([server.failure, Promise.resolve('none')])).toBe('none');
  });

  it('tells what its line says, and how long that took', async () => {
    const server = await start(
      "process.on('SIGTERM', () => process.exit(0)); console.log(JSON.stringify({ port: 7, segments: 3, recovery: { events: 5 } })); setInterval(() => {}, 1000)",
    );
    expect(await server.ready).toEqual({ port: 7, segments: 3, recovery: { events: 5 } });
    expect(server.readyMs).toBeGreaterThan(0);
    await server.stop();
  });

  it('that dies later tells so', async () => {
    const server = await start(
      "console.log(JSON.stringify({ port: 7 })); console.error('worn out'); setTimeout(() => process.exit(5), 50)",
    );
    await expect(server.failure).rejects.toThrow(/ended by itself with 5[\s\S]*worn out/);
  });
});

function start(code: string): Promise<ServerProcess> {
  return ServerProcess.start('server under test', ['-e', code]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
