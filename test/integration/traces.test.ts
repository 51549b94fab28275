import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type HrTime, SpanKind, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientPush, Op, PUSH, StockMode } from '../../protocol/ops.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import { STAGES } from '../../src/shard/stage-report.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { startHere, startServer } from '../fixtures/server.ts';
import { frameOf } from '../front/fixtures.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const PARENT = '00f067aa0ba902b7';
const traceparent = (n: number, flags = '01') => `00-${n.toString(16).padStart(32, '0')}-${PARENT}-${flags}`;
const traceOf = (span: ReadableSpan) => Number(`0x${span.spanContext().traceId}`);
const nsOf = ([s, ns]: HrTime) => BigInt(s) * 1_000_000_000n + BigInt(ns);

describe('with an SDK registered in the process', () => {
  const FRONTS = 2;
  const exporter = new InMemorySpanExporter();
  let server: RunningServer;

  beforeAll(async () => {
    const spanProcessors = [new SimpleSpanProcessor(exporter)];
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }));
    server = await startHere({ fronts: FRONTS });
  });
  afterAll(async () => {
    await server.stop();
    trace.disable();
  });

  /** Spans of a trace when they are there: one of the server, and its children in the order of their beginnings. */
  async function spansOf(n: number): Promise<[ReadableSpan, ReadableSpan[]]> {
    const found = () => exporter.getFinishedSpans().filter((span) => traceOf(span) === n);
    const ended = () => found().find(({ kind }) => kind === SpanKind.SERVER);
    await expect.poll(ended).toBeDefined();
    const children = found().filter(({ kind }) => kind !== SpanKind.SERVER);
    return [ended() as ReadableSpan, children];
  }

  it('a command is a span of the server as a child of the client, with a child for each stage, from every front', async () => {
    const clients = await Promise.all(Array.from({ length: FRONTS }, () => RawClient.connect(server.url)));
    const fronts: unknown[] = [];
    for (const [i, client] of clients.entries()) {
      const sku = `sku-${i}`;
      const command = [Op.STOCK, 1_000_000 + i, sku, StockMode.TOTAL, 5];
      client.sendBytes(frameOf([PUSH, ClientPush.TRACE, traceparent(i + 1)], command));
      const [span, children] = await spansOf(i + 1);
      expect(span).toMatchObject({
        name: 'STOCK',
        kind: SpanKind.SERVER,
        parentSpanContext: { spanId: PARENT },
      });
      expect(span.attributes).toMatchObject({
        'rpc.method': 'STOCK',
        'holdfast.status': 'OK',
        'holdfast.worker': expect.any(Number),
        'holdfast.segment': expect.any(Number),
        'holdfast.connection': expect.stringMatching(/^[01]-\d+$/),
      });
      expect(children.map(({ name }) => name)).toEqual([...STAGES]);
      let at = nsOf(span.startTime);
      for (const child of children) {
        expect(child.parentSpanContext?.spanId).toBe(span.spanContext().spanId);
        expect(nsOf(child.startTime)).toBe(at);
        at = nsOf(child.endTime);
      }
      expect(nsOf(span.endTime)).toBe(at);
      expect(Math.abs(Number(at / 1_000_000n) - Date.now())).toBeLessThan(60_000);
      fronts.push(span.attributes['holdfast.front']);
    }
    expect(fronts.sort()).toEqual([0, 1]);
    await Promise.all(clients.map((client) => client.close()));
  });

  it('a request over HTTP carries it in its header', async () => {
    const headers = { traceparent: traceparent(100) };
    const answer = await fetch(`${server.httpUrl}/v1/skus/never-stocked`, { headers });
    expect(answer.status).toBe(404);
    const [span, children] = await spansOf(100);
    expect(span).toMatchObject({ name: 'READ', attributes: { 'holdfast.status': 'UNKNOWN_SKU' } });
    expect(children.length).toBe(STAGES.length);
  });

  it.each([
    ['as it came', 'checkout-7f.3:A_b', 'checkout-7f.3:A_b'],
    ['drawn, where there is none', undefined, /^[0-9a-f-]{36}$/],
    ['drawn, where it is too long', 'x'.repeat(65), /^[0-9a-f-]{36}$/],
    ['drawn, where it is of other letters', 'a b', /^[0-9a-f-]{36}$/],
  ])('an answer over HTTP has the id of its request, %s', async (_, id, expected) => {
    const headers: Record<string, string> = id === undefined ? {} : { 'x-request-id': id };
    for (const path of ['/v1/skus/sku-0', '/healthz', '/nowhere']) {
      const answer = await fetch(`${server.httpUrl}${path}`, { headers });
      expect(answer.headers.get('x-request-id')).toMatch(expected);
    }
  });

  it.each([
    ['without the sampled flag', traceparent(200, '00')],
    ['that is none', 'x'.repeat(3000)],
    ['of zeros', traceparent(0)],
  ])('a traceparent %s changes nothing', async (_, header) => {
    const before = exporter.getFinishedSpans().length;
    const answer = await fetch(`${server.httpUrl}/v1/skus/sku-0`, { headers: { traceparent: header } });
    expect(answer.status).toBe(200);
    await fetch(`${server.httpUrl}/v1/skus/sku-0`, { headers: { traceparent: traceparent(300 + before) } });
    await spansOf(300 + before);
    expect(exporter.getFinishedSpans().length).toBe(before + 1 + STAGES.length);
  });
});

describe('a collector', () => {
  it('gets the spans as OTLP over HTTP, those at the end of the server too', async () => {
    interface Body {
      resourceSpans: {
        resource: { attributes: { key: string; value: { stringValue: string } }[] };
        scopeSpans: { spans: { name: string; traceId: string; parentSpanId: string }[] }[];
      }[];
    }
    // A server gives its collector two seconds at its end, which a busy machine may let pass, but not each time.
    await longEnough(0, async () => {
      const bodies: Body[] = [];
      const paths: (string | undefined)[] = [];
      const collector = createServer(async (request, response) => {
        paths.push(request.url);
        bodies.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
        response.setHeader('content-type', 'application/json').end('{}');
      });
      await once(collector.listen(0, '127.0.0.1'), 'listening');
      const { port } = collector.address() as AddressInfo;
      const server = await startServer({ otlpEndpoint: `http://127.0.0.1:${port}/base` });
      const headers = { traceparent: traceparent(7) };
      expect((await fetch(`${server.httpUrl}/v1/skus/x`, { headers })).status).toBe(404);
      expect(await server.stop()).toBe(0);
      collector.close();
      expect(server.errors()).toBe('');
      expect(new Set(paths)).toEqual(new Set(['/base/v1/traces']));
      const resources = bodies.flatMap(({ resourceSpans }) => resourceSpans);
      const spans = resources.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
      expect(spans.map(({ name }) => name).sort()).toEqual([...STAGES, 'READ'].sort());
      expect(spans.find(({ name }) => name === 'READ')).toMatchObject({
        traceId: traceparent(7).slice(3, 35),
        parentSpanId: PARENT,
      });
      expect(resources[0]?.resource.attributes).toContainEqual({
        key: 'service.name',
        value: { stringValue: 'holdfast' },
      });
    });
  });

  it('that is not there holds nothing up, and is told of in the log', async () => {
    const server = await startServer({ otlpEndpoint: 'http://127.0.0.1:9' });
    const headers = { traceparent: traceparent(7) };
    expect((await fetch(`${server.httpUrl}/v1/skus/x`, { headers })).status).toBe(404);
    expect(await server.stop()).toBe(0);
    const lines = server.errors().trim().split('\n');
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ event: 'traces-lost', level: 'warn' });
  });

  it.each([
    ['no address', 'collector:4318', /otlpEndpoint = collector:4318 cannot be used: .*http:\/\/127/],
    ['a file', 'file:///spans', /otlpEndpoint = .* cannot be used/],
  ])('whose address is %s is refused', async (_, endpoint, why) => {
    expect(await failing(['--otlp-endpoint', endpoint])).toEqual([2, expect.stringMatching(why)]);
  });
});

/** What a server that cannot start ends with, and what it says. */
async function failing(args: readonly string[], node: readonly string[] = []): Promise<[number, string]> {
  const child = spawn(process.execPath, [...node, MAIN, 'serve', '--port', '0', '--store', 'none', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const text = child.stderr.toArray();
  const [code] = await once(child, 'close');
  return [code, Buffer.concat(await text).toString()];
}

describe('without the packages that few need', () => {
  it.each(['@opentelemetry/exporter-trace-otlp-http', '@opentelemetry/sdk-trace-base'])(
    '%s: a server that is told of a collector does not start, and says what to install',
    async (name) => {
      const missing = `
      import { registerHooks } from 'node:module';
      registerHooks({ resolve(specifier, context, next) {
        if (specifier !== '${name}') return next(specifier, context);
        throw Object.assign(new Error("Cannot find package '${name}'"), { code: 'ERR_MODULE_NOT_FOUND' });
      } });`;
      const hook = `data:text/javascript,${encodeURIComponent(missing)}`;
      const [code, said] = await failing(['--otlp-endpoint', 'http://127.0.0.1:4318'], ['--import', hook]);
      expect([code, said]).toEqual([2, expect.stringMatching(/^holdfast: .*npm install .*\n$/)]);
      expect(said).toContain(name);
    },
  );
});
