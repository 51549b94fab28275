import { CliError, ExitCode } from './exit.ts';
import type { ServerUrl } from './options.ts';

export interface HttpRequest {
  method?: 'GET' | 'PUT' | 'POST';
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  timeoutMs: number;
}

/** A SKU as the server's books have it. Times are server time in ms since the epoch. */
export interface SkuBooks {
  sku: string;
  available: number;
  held: number;
  sold: number;
  total: number;
  /** 0 for no limit. */
  maxPerHold: number;
  maxPerHolder: number;
  maxTtlMs: number;
  /** 0 when nothing is held. */
  earliestEnd: number;
}

/**
 * One request to the server; resolves with the JSON of its answer. Throws CliError: NO_CONNECTION when there is no
 * answer or one that is not of this server, REFUSED with the status name as code for problem details.
 */
export async function requestJson<T>(url: ServerUrl, request: HttpRequest): Promise<T> {
  const { method = 'GET', path, body, headers = {}, timeoutMs } = request;
  let status: number;
  let text: string;
  try {
    const response = await fetch(url.http + path, {
      method,
      headers: {
        ...headers,
        ...(url.token !== undefined && { authorization: `Bearer ${url.token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    throw noAnswer(url, timeoutMs, error);
  }
  const value = parseObject(text);
  if (value === undefined) {
    throw new CliError(
      ExitCode.NO_CONNECTION,
      'NO_HOLDFAST',
      `What answers at ${url.http} is no Holdfast server (HTTP ${status}, no JSON). Check --url.`,
    );
  }
  if (status >= 200 && status < 300) return value as T;
  throw refusal(status, value);
}

/** True when a server at this address says that it is ready. */
export async function isReady(url: ServerUrl, timeoutMs: number): Promise<boolean> {
  try {
    const response = await fetch(`${url.http}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** GET /v1/skus/:sku. */
export function readSku(url: ServerUrl, sku: string, timeoutMs: number): Promise<SkuBooks> {
  return requestJson<SkuBooks>(url, { path: `/v1/skus/${encodeURIComponent(sku)}`, timeoutMs });
}

function noAnswer(url: ServerUrl, timeoutMs: number, error: unknown): CliError {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new CliError(
      ExitCode.NO_CONNECTION,
      'TIMEOUT',
      `No answer from ${url.http} within ${timeoutMs} ms. What was asked may still have happened.`,
    );
  }
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const why = (cause as NodeJS.ErrnoException).code ?? String(cause);
  return new CliError(
    ExitCode.NO_CONNECTION,
    'NO_CONNECTION',
    `No server answers at ${url.http} (${why}). Start one with holdfast serve, or name another with --url.`,
  );
}

/** Problem details (RFC 9457) as an error. */
function refusal(status: number, problem: Record<string, unknown>): CliError {
  const { type, title, status: _status, detail, code, ...details } = problem;
  const text = [title, detail].filter((part) => typeof part === 'string' && part !== '').join(': ');
  return new CliError(
    ExitCode.REFUSED,
    typeof code === 'string' ? code : `HTTP_${status}`,
    text === '' ? `The server refused with HTTP ${status}.` : text,
    { httpStatus: status, ...details },
  );
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
