import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type * as Sdk from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { launchChromium, whyNoChromium as missing } from '../fixtures/chromium.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { type Issuer, issuerAt } from '../fixtures/tokens.ts';

/** What a careful shop would send: no code but its own, and nothing that is made out of text. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src ws://127.0.0.1:*";

/** The page's own script. */
const PAGE = `
  globalThis.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => {
    violations.push(event.violatedDirective + ' ' + event.blockedURI);
  });
  globalThis.load = () => import('/holdfast.js');
`;

interface Shop {
  page: Page;
  server: Awaited<ReturnType<typeof startServer>>;
  close(): Promise<void>;
}

describe('the SDK in a browser', () => {
  const path = tempDir();
  let shop: Shop;

  beforeAll(async () => {
    if (missing === undefined) shop = await openShop();
  });
  afterAll(() => shop?.close());

  it('places a hold from a page and confirms it', async ({ skip }) => {
    skip(missing !== undefined, missing);
    const { page, server } = shop;
    await stock(server.url, 'browser-1', 10);
    const outcome = await page.evaluate(async (url) => {
      const { connect } = await load();
      const client = await connect(url, { holder: 'a page', timeoutMs: 60_000 });
      const hold = await client.hold({ sku: 'browser-1', quantity: 4, ttl: 30_000 });
      const leftMs = hold.expiresAt - Date.now();
      const left = await hold.release(1);
      const sold = await hold.confirm();
      const books = await client.read('browser-1');
      await client.close();
      return { leftMs, left, sold, state: hold.state, books, client: client.state };
    }, server.url);
    expect(outcome).toMatchObject({ left: 3, sold: 3, state: 'confirmed', client: 'closed' });
    expect(outcome.books).toMatchObject({ available: 7, held: 0, sold: 3, total: 10 });
    expect(Math.abs(outcome.leftMs - 30_000)).toBeLessThan(25_000);
  });

  it('tells a page why a hold was refused', async ({ skip }) => {
    skip(missing !== undefined, missing);
    const { page, server } = shop;
    await stock(server.url, 'browser-2', 1);
    const error = await page.evaluate(async (url) => {
      const { connect, HoldfastError } = await load();
      const client = await connect(url, { timeoutMs: 60_000 });
      try {
        await client.hold({ sku: 'browser-2', quantity: 2, ttl: 1_000 });
        return undefined;
      } catch (error) {
        return error instanceof HoldfastError ? { code: error.code, details: error.details } : String(error);
      } finally {
        await client.close();
      }
    }, server.url);
    expect(error).toEqual({ code: 'SOLD_OUT', details: { available: 1 } });
  });

  it('opens a server with authentication by a token, and renews it in place', async ({ skip }) => {
    skip(missing !== undefined, missing);
    const issuer = issuerAt(path('key.json'));
    const server = await startServer({ authKeys: issuer.authKeys });
    onTestFinished(async () => void (await server.stop()));
    await longEnough(2500, (ttlMs) => renews(issuer, server.url, ttlMs));
  }, 400_000);

  async function renews(issuer: Issuer, url: string, ttlMs: number): Promise<void> {
    const tokens = await Promise.all([
      issuer.token('a page', { scopes: ['hold', 'stock'], ttlMs }),
      issuer.token('a page', { scopes: ['hold'] }),
    ]);
    const sku = `browser-3-${ttlMs}`;
    const outcome = await shop.page.evaluate(
      async ([url, sku, tokens]) => {
        const { connect } = await load();
        const states: string[] = [];
        let fetched = 0;
        // As a page would fetch it from its shop.
        const client = await connect(url, {
          token: async () => tokens[fetched++] as string,
          timeoutMs: 60_000,
        });
        client.onStateChange((state) => states.push(state));
        await client.stock({ sku, total: 5 });
        const hold = await client.hold({ sku, quantity: 2, ttl: 600_000 });
        while (fetched < 2) await new Promise((resolve) => setTimeout(resolve, 50));
        // The scope of the second token: it is taken when stock can be set no more.
        let code = 'OK';
        while (code === 'OK') {
          await new Promise((resolve) => setTimeout(resolve, 50));
          code = await client.stock({ sku, total: 5 }).then(
            () => 'OK',
            (error) => error.code,
          );
        }
        const sold = await hold.confirm();
        const { holder } = client;
        await client.close();
        return { sold, code, holder, states, fetched };
      },
      [url, sku, tokens] as const,
    );
    expect(outcome).toEqual({ sold: 2, code: 'FORBIDDEN', holder: 'a page', states: ['closed'], fetched: 2 });
  }

  it('tells a page that the server wants a token', async ({ skip }) => {
    skip(missing !== undefined, missing);
    const server = await startServer({ authKeys: issuerAt(path('other.json')).authKeys });
    onTestFinished(async () => void (await server.stop()));
    const reason = await shop.page.evaluate(async (url) => {
      const { connect } = await load();
      const client = await connect(url, { timeoutMs: 60_000 });
      return client.read('browser-1').then(
        () => 'read',
        (error) => `${error.code} ${error.details.reason}`,
      );
    }, server.url);
    expect(reason).toBe('UNAUTHENTICATED MISSING');
  });

  it('tells a page that no server is there', async ({ skip }) => {
    skip(missing !== undefined, missing);
    const code = await shop.page.evaluate(async () => {
      const { connect } = await load();
      return connect('ws://127.0.0.1:1/v1/ws').then(
        () => 'connected',
        (error) => error.code,
      );
    });
    expect(code).toBe('CLOSED');
  });

  it('does nothing that a strict content security policy forbids', async ({ skip }) => {
    skip(missing !== undefined, missing);
    expect(await shop.page.evaluate(() => violations)).toEqual([]);
  });
});

// In the page, and declared here so that the functions that run there can be checked: the bundle, and what the
// browser refused to do for it.
declare function load(): Promise<typeof Sdk>;
declare const violations: string[];

async function openShop(): Promise<Shop> {
  const server = await startServer();
  const site = await serveSite(await bundle());
  let browser: Browser | undefined;
  const close = async () => {
    await browser?.close();
    await site.close();
    await server.stop();
  };
  try {
    browser = await launchChromium();
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(site.url);
    await page.waitForFunction(() => 'load' in globalThis);
    return { page, server, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function bundle(): Promise<string> {
  const input = fileURLToPath(new URL('../../src/client/index.ts', import.meta.url));
  const build = await rolldown({ input, platform: 'browser', logLevel: 'warn' });
  const { output } = await build.generate({ format: 'esm', minify: true });
  await build.close();
  // One file, so that nothing is left that a browser would have to find by itself.
  expect(output).toHaveLength(1);
  return output[0].code;
}

async function serveSite(sdk: string): Promise<{ url: string; close(): Promise<void> }> {
  const files: Record<string, [type: string, body: string]> = {
    '/': ['text/html', '<!doctype html><title>Shop</title><script type="module" src="/page.js"></script>'],
    '/page.js': ['text/javascript', PAGE],
    '/holdfast.js': ['text/javascript', sdk],
  };
  const server = createServer((request, response) => {
    const [type, body] = files[request.url ?? ''] ?? ['text/plain', undefined];
    response.writeHead(body === undefined ? 404 : 200, {
      'content-type': `${type}; charset=utf-8`,
      'content-security-policy': POLICY,
    });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}/`, close };
}

async function stock(url: string, sku: string, total: number): Promise<void> {
  const client = await connect(url, { timeoutMs: 60_000 });
  await client.stock({ sku, total });
  await client.close();
}
