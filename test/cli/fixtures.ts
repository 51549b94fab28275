import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../perf/free-port.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the command line in a process of its own, with nothing of HOLDFAST_… from the outside, until it ends. */
export async function runCli(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const child = spawnCli(args, env);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

export function spawnCli(args: readonly string[], env: Record<string, string> = {}) {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('HOLDFAST_'));
  return spawn(process.execPath, [MAIN, ...args], {
    env: { ...Object.fromEntries(clean), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export interface SeenRequest {
  method: string;
  url: string;
  holder: string | undefined;
  body: unknown;
}

/** Text is sent as it is, anything else as JSON; SILENCE leaves the request without an answer. */
export interface Answer {
  status?: number;
  body: unknown;
}

export const SILENCE = Symbol('no answer');

/** An HTTP server on a free port that answers by `"METHOD /path"`, and remembers what it was asked. */
export async function fakeServer(routes: Record<string, Answer>) {
  const seen: SeenRequest[] = [];
  const server = createServer(async (request, response) => {
    const body = await readBody(request);
    const { method = '', url = '' } = request;
    seen.push({ method, url, holder: request.headers['x-holdfast-holder'] as string | undefined, body });
    const { status = 200, body: answer } = routes[`${method} ${url}`] ?? {
      status: 404,
      body: { title: 'no route' },
    };
    if (answer === SILENCE) return;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${port}`, port, seen, close, [Symbol.asyncDispose]: close };
}

/** An address at which nothing listens. */
export async function deadUrl(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}`;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? undefined : JSON.parse(text);
}

export interface ReadyLine {
  url: string;
  http: string;
  port: number;
  workers: number;
  segments: number;
  ack: string;
  store: string | null;
  promise: string;
  recovery: Record<string, unknown> | null;
  pid: number;
}

/** What a server of these tests is started with: a free port, tables that start fast, and nothing kept unless a test says where. */
export const SERVE = ['serve', '--port', '0', '--segments', '4', '--workers', '1', '--store', 'none'];

/** `holdfast serve --json`, up to its line of readiness. */
export async function realServer(args: readonly string[] = []) {
  const child = spawnCli([...SERVE, '--json', ...args]);
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) throw new Error(`serve ended before it was ready: ${(await ended).join()}`);
  const ready = JSON.parse(first.value) as ReadyLine;
  const stop = async () => {
    child.kill('SIGTERM');
    const [code] = await ended;
    return code;
  };
  return {
    ready,
    url: ready.http,
    child,
    ended,
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}
