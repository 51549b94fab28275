import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll } from 'vitest';

export interface JwksServer {
  readonly url: string;
  /** Requests that came. */
  requests: number;
  /** What the next requests get. */
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  /** Answers with these keys from now on. */
  serve(...keys: object[]): void;
}

/** An HTTP server on loopback that has a key set, and ends with the test file. */
export async function startJwksServer(...keys: object[]): Promise<JwksServer> {
  const server = createServer((request, response) => {
    jwks.requests++;
    jwks.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const jwks: JwksServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`,
    requests: 0,
    answer: () => {},
    serve(...now) {
      jwks.answer = (_request, response) => response.end(JSON.stringify({ keys: now }));
    },
  };
  jwks.serve(...keys);
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return jwks;
}
